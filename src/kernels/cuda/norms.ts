import type { BufferRef, KernelCall, RowCount } from '../kernel.ts';
import { cudaProgram, type ActivationFormat } from './program.ts';

/** What all norms have in common; shapes in brackets. */
export interface NormOptions {
  readonly label: string;
  readonly rows: RowCount;
  /** At most 16,384. */
  readonly C: number;
  readonly epsilon: number;
  /** [rows, C] f32 */
  readonly x: BufferRef;
  readonly out: ActivationFormat;
  /** [rows, C] */
  readonly y: BufferRef;
}

/** y = rms(x) * weight; `merge` rows are interleaved by channel, [rows / merge, C, merge]. */
export function cudaRmsNorm(
  options: NormOptions & { readonly weight: BufferRef; readonly merge?: number },
): KernelCall {
  const { x, weight, y, merge = 1 } = options;
  return call('rms-norm', options, { x, weight, y }, { MERGE: merge });
}

/** hidden += x, y = rms(hidden) * weight. */
export function cudaAddNorm(
  options: NormOptions & {
    readonly weight: BufferRef;
    readonly hidden: BufferRef;
    readonly merge?: number;
  },
): KernelCall {
  const { x, weight, hidden, y, merge = 1 } = options;
  return call('add-norm', options, { x, weight, hidden, y }, { MERGE: merge });
}

/** hidden += rms(x) * postWeight, y = rms(hidden) * preWeight. */
export function cudaSandwichNorm(
  options: NormOptions & {
    readonly postWeight: BufferRef;
    readonly preWeight: BufferRef;
    readonly hidden: BufferRef;
  },
): KernelCall {
  const { x, postWeight, preWeight, hidden, y } = options;
  return call('sandwich-norm', options, { x, post_weight: postWeight, pre_weight: preWeight, hidden, y }, {});
}

/** y = gelu(layer norm of x); y may be x. */
export function cudaLayerNormGelu(
  options: NormOptions & { readonly weight: BufferRef; readonly bias: BufferRef },
): KernelCall {
  const { x, weight, bias, y } = options;
  return call('layer-norm-gelu', options, { x, weight, bias, y }, {});
}

/** Vectors of four that a thread keeps of a row, in the kernels that keep it. */
function itemsOf(C: number): number {
  return C <= 4096 ? 2 : 8;
}

function call(
  shader: string,
  { label, rows, C, epsilon, out }: NormOptions,
  bindings: KernelCall['bindings'],
  constants: Readonly<Record<string, number>>,
): KernelCall {
  return {
    label,
    program: cudaProgram(shader, {
      variants: [`out-${out}`],
      shape: { ITEMS: itemsOf(C) },
      constants: { C, EPSILON: epsilon, ...constants },
    }),
    bindings,
    grid: [{ rows, per: 1 }, 1, 1],
  };
}
