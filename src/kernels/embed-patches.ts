import source from '#shaders/embed-patches.wgsl?raw';
import type { BufferRef, KernelCall, Reduction } from './kernel.ts';
import { PATCH_PLACE, STEP } from './prelude-sources.ts';
import { reductionPrelude } from './reduction.ts';

/** What `embedPatches` computes with; shapes in brackets. */
export interface EmbedPatchesOptions {
  readonly label: string;
  readonly C: number;
  readonly epsilon: number;
  /** Side of the square position table. */
  readonly positionSide: number;
  readonly spatialMergeSize: number;
  readonly reduction: Reduction;
  readonly workgroup: number;
  readonly step: BufferRef;
  /** [P, C] f32, the patch convolution's output */
  readonly x: BufferRef;
  /** [C] f32 */
  readonly weight: BufferRef;
  /** [positionSide * positionSide, C] f32 */
  readonly positions: BufferRef;
  /** [P, C] f32 */
  readonly hidden: BufferRef;
}

/** Norms patches and adds the position table, read with bicubic interpolation. */
export function embedPatches(options: EmbedPatchesOptions): KernelCall {
  const { label, C, epsilon, positionSide, spatialMergeSize, reduction, workgroup } = options;
  const { step, x, weight, positions, hidden } = options;
  return {
    label,
    program: {
      shader: 'embed-patches',
      source,
      preludes: [STEP, PATCH_PLACE, reductionPrelude(reduction)],
      shape: { WORKGROUP: workgroup },
      constants: { C, EPSILON: epsilon, SIDE: positionSide, MERGE: spatialMergeSize },
    },
    bindings: { step, x, weight, positions, hidden },
    grid: [{ rows: 'patches', per: 1 }, 1, 1],
  };
}
