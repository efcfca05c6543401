import source from '#shaders/rope-vision.wgsl?raw';
import { ceilDivide } from '../base/maths.ts';
import type { BufferRef, KernelCall, PairCacheFormat } from './kernel.ts';
import { cachePrelude, PATCH_PLACE, STEP } from './prelude-sources.ts';

/** What `ropeVision` computes with; shapes in brackets. */
export interface RopeVisionOptions {
  readonly label: string;
  readonly H: number;
  readonly D: number;
  readonly spatialMergeSize: number;
  readonly cacheFormat: PairCacheFormat;
  readonly step: BufferRef;
  /** [P, 3, H, D] f32 */
  readonly qkv: BufferRef;
  /** [positions, D / 4] cosine and sine, f32 */
  readonly rope: BufferRef;
  /** [P, H, D] f32 */
  readonly q: BufferRef;
  /** [H, P, D] each, in the cache's format */
  readonly keys: BufferRef;
  readonly values: BufferRef;
}

/** The vision tower's 2-D rope, and its keys and values laid out for the attention kernel. */
export function ropeVision(options: RopeVisionOptions): KernelCall {
  const { label, H, D, spatialMergeSize, cacheFormat } = options;
  const { step, qkv, rope, q, keys, values } = options;
  return {
    label,
    program: {
      shader: 'rope-vision',
      source,
      preludes: [STEP, PATCH_PLACE, cachePrelude(cacheFormat)],
      constants: { H, D, MERGE: spatialMergeSize },
    },
    bindings: { step, qkv, rope, q, keys, values },
    grid: [ceilDivide((3 * H * D) / 4, 64), { rows: 'patches', per: 1 }, 1],
  };
}
