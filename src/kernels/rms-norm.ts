import source from '#shaders/rms-norm.wgsl?raw';
import type { BufferRef, KernelCall, Reduction, RowCount } from './kernel.ts';
import { reductionPrelude } from './reduction.ts';

/** What `rmsNorm` computes with; shapes in brackets. */
export interface RmsNormOptions {
  readonly label: string;
  readonly rows: RowCount;
  readonly C: number;
  readonly epsilon: number;
  /** Rows that the output interleaves by channel; 1 leaves the order alone. */
  readonly merge?: number;
  readonly reduction: Reduction;
  readonly workgroup: number;
  /** [rows, C] f32 */
  readonly x: BufferRef;
  /** [C] f32 */
  readonly weight: BufferRef;
  /** [rows, C], or [rows / merge, C, merge] */
  readonly y: BufferRef;
}

/** Root-mean-square norm of each row, in f32. */
export function rmsNorm(options: RmsNormOptions): KernelCall {
  const { label, rows, C, epsilon, merge = 1, reduction, workgroup, x, weight, y } = options;
  return {
    label,
    program: {
      shader: 'rms-norm',
      source,
      preludes: [reductionPrelude(reduction)],
      shape: { WORKGROUP: workgroup },
      constants: { C, EPSILON: epsilon, MERGE: merge },
    },
    bindings: { x, weight, y },
    grid: [{ rows, per: 1 }, 1, 1],
  };
}
