import type { BufferRef, KernelCall } from '../kernel.ts';
import { cudaProgram } from './program.ts';

/** Queries of a block; fixed in the kernel. */
const QUERIES = 64;

/** Head sizes that the tensor core kernels are compiled for. */
export const TENSOR_HEAD_SIZES: readonly number[] = [32, 128];

/** Most query heads of a KV head in a decode step: the rows of an mma. */
export const MOST_GROUPED_HEADS = 16;

/** Splits of a sequence's keys in a decode step; at most the kernel's `MOST_SPLITS`. */
export const CUDA_SPLITS = 64;

/** Attention in f16: q as `queryScale` says, keys and values in f16; shapes in brackets. */
export interface CudaAttentionOptions {
  readonly label: string;
  readonly H: number;
  readonly D: number;
  /** [rows, H, D] f16 */
  readonly q: BufferRef;
  readonly keys: BufferRef;
  readonly values: BufferRef;
  /** [rows, H, D] f16 */
  readonly output: BufferRef;
}

/** A prefill chunk's tokens see their slot's cache [slots, KV, context, D] up to themselves. */
export function flashText(
  options: CudaAttentionOptions & {
    readonly KV: number;
    readonly context: number;
    readonly step: BufferRef;
  },
): KernelCall {
  const { label, H, KV, D, context, step, q, keys, values, output } = options;
  return {
    label,
    program: cudaProgram('flash-text', { shape: { D }, constants: { H, KV, CONTEXT: context } }),
    bindings: { step, q, keys, values, output },
    grid: [{ rows: 'tokens', per: QUERIES }, H, 1],
  };
}

/** All patches see all patches; keys and values are [H, patches, D]. */
export function flashVision(options: CudaAttentionOptions & { readonly step: BufferRef }): KernelCall {
  const { label, H, D, step, q, keys, values, output } = options;
  return {
    label,
    program: cudaProgram('flash-vision', { shape: { D }, constants: { H } }),
    bindings: { step, q, keys, values, output },
    grid: [{ rows: 'patches', per: QUERIES }, H, 1],
  };
}

/** One token each of `columns` sequences: split along the keys, then joined. */
export function cudaAttentionDecode(
  options: CudaAttentionOptions & {
    readonly columns: number;
    readonly KV: number;
    readonly context: number;
    /** [columns] `Row` */
    readonly rows: BufferRef;
    /** [columns, H, CUDA_SPLITS, D] f32 */
    readonly partialOutput: BufferRef;
    /** [columns, H, CUDA_SPLITS, 2] f32 */
    readonly partialStats: BufferRef;
  },
): KernelCall[] {
  const { label, columns, H, KV, D, context, rows, q, keys, values, output } = options;
  const partial = { partial_output: options.partialOutput, partial_stats: options.partialStats };
  return [
    {
      label: `${label}.split`,
      program: cudaProgram('attention-split', {
        shape: { D },
        constants: { H, KV, CONTEXT: context, SPLITS: CUDA_SPLITS },
      }),
      bindings: { q, keys, values, rows, ...partial },
      grid: [CUDA_SPLITS, KV, columns],
    },
    {
      label: `${label}.join`,
      program: cudaProgram('attention-join', { shape: { D }, constants: { H, SPLITS: CUDA_SPLITS } }),
      bindings: { ...partial, rows, output },
      grid: [H, columns, 1],
    },
  ];
}
