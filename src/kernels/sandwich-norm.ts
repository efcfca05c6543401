import source from '#shaders/sandwich-norm.wgsl?raw';
import { ceilDivide } from '../base/maths.ts';
import type { BufferRef, KernelCall, Reduction, RowCount } from './kernel.ts';
import { reductionPrelude } from './reduction.ts';

/** What `sandwichNorm` computes with; shapes in brackets. */
export interface SandwichNormOptions {
  readonly label: string;
  readonly rows: RowCount;
  readonly C: number;
  readonly epsilon: number;
  readonly reduction: Reduction;
  readonly workgroup: number;
  /** [T, C] f32, the block's output */
  readonly x: BufferRef;
  /** [C] f32, the norm of the block's output */
  readonly postWeight: BufferRef;
  /** [C] f32, the norm before the next block */
  readonly preWeight: BufferRef;
  /** [T, C] f32, the residual stream, updated in place */
  readonly hidden: BufferRef;
  /** [T, C] f32, the next block's input */
  readonly y: BufferRef;
}

/** Adds a block's normed output to the residual stream and norms the stream for the next block. */
export function sandwichNorm(options: SandwichNormOptions): KernelCall {
  const { label, rows, C, epsilon, reduction, workgroup, x, postWeight, preWeight, hidden, y } = options;
  return {
    label,
    program: {
      shader: 'sandwich-norm',
      source,
      preludes: [reductionPrelude(reduction)],
      shape: { WORKGROUP: workgroup, ITEMS: ceilDivide(C / 4, workgroup) },
      constants: { C, EPSILON: epsilon },
    },
    bindings: { x, post_weight: postWeight, pre_weight: preWeight, hidden, y },
    grid: [{ rows, per: 1 }, 1, 1],
  };
}
