import source from '#shaders/add-norm.wgsl?raw';
import type { BufferRef, KernelCall, Reduction, RowCount } from './kernel.ts';
import { reductionPrelude } from './reduction.ts';

/** What `addNorm` computes with; shapes in brackets. */
export interface AddNormOptions {
  readonly label: string;
  readonly rows: RowCount;
  readonly C: number;
  readonly epsilon: number;
  /** Rows that the output interleaves by channel; 1 leaves the order alone. */
  readonly merge?: number;
  readonly reduction: Reduction;
  readonly workgroup: number;
  /** [rows, C] f32, the block's output */
  readonly x: BufferRef;
  /** [C] f32 */
  readonly weight: BufferRef;
  /** [rows, C] f32, the residual stream, updated in place */
  readonly hidden: BufferRef;
  /** [rows, C], or [rows / merge, C, merge] */
  readonly y: BufferRef;
}

/** Adds a block's output to the residual stream and norms the stream. */
export function addNorm(options: AddNormOptions): KernelCall {
  const { label, rows, C, epsilon, merge = 1, reduction, workgroup, x, weight, hidden, y } = options;
  return {
    label,
    program: {
      shader: 'add-norm',
      source,
      preludes: [reductionPrelude(reduction)],
      shape: { WORKGROUP: workgroup },
      constants: { C, EPSILON: epsilon, MERGE: merge },
    },
    bindings: { x, weight, hidden, y },
    grid: [{ rows, per: 1 }, 1, 1],
  };
}
