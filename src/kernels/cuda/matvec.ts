import { ceilDivide } from '../../base/maths.ts';
import type { BufferRef, KernelCall, WeightMatrix } from '../kernel.ts';
import { ropeConstants, type RopeAppendOptions } from '../rope-append.ts';
import { weightBindings } from '../weight-bindings.ts';
import { onlyPart } from './gemm.ts';
import { cudaProgram } from './program.ts';
import { queryScale } from './rope.ts';

/** Rows of the weight that a block takes at a time; fixed in the kernel. */
const OUTPUTS = 16;

/** Rows that are packed together. */
const OCTET = 8;

/** Blocks that share a multiprocessor: what is left of its memory lets the next kernel's blocks start early. */
const BLOCKS_A_MULTIPROCESSOR = 2;

/** Widest row that a block can pack. */
const MOST_K = 14336;

/** The product of a decode step; shapes in brackets. */
export interface CudaMatvecOptions {
  readonly label: string;
  /** Sequences: 1 to 8. */
  readonly columns: number;
  /** [N, K] at `q4`, packed by `packQ4` */
  readonly weight: WeightMatrix;
  /** [columns, K] f16 */
  readonly x: BufferRef;
  /** Multiprocessors of the GPU. */
  readonly multiprocessors: number;
}

/** True for a weight that these products can take. */
export function fitsMatvec({ format, K, parts }: WeightMatrix): boolean {
  const isWhole = parts.every(({ rowCount }) => rowCount % OCTET === 0);
  return format === 'q4' && K % 32 === 0 && K <= MOST_K && isWhole;
}

/** Packs a weight in place, as the products of a decode step read it; once after the load. */
export function packQ4(label: string, weight: WeightMatrix): KernelCall[] {
  return weight.parts.map((part) => ({
    label,
    program: cudaProgram('pack-q4', { constants: { K: weight.K } }),
    bindings: weightBindings(part),
    grid: [part.rowCount / OCTET, 1, 1],
  }));
}

/** Blocks that take so many tiles in turn. */
function blockCount(tiles: number, multiprocessors: number): number {
  return Math.min(tiles, multiprocessors * BLOCKS_A_MULTIPROCESSOR);
}

/** y [columns, N] f32. */
export function cudaMatvec(options: CudaMatvecOptions & { readonly y: BufferRef }): KernelCall[] {
  const { label, columns, weight, x, y, multiprocessors } = options;
  return weight.parts.map((part) => ({
    label,
    program: cudaProgram('matvec-q4', {
      variants: ['store-plain'],
      constants: {
        K: weight.K,
        N: part.rowCount,
        Y_STRIDE: weight.N,
        Y_OFFSET: part.firstRow,
        COLUMNS: columns,
      },
    }),
    bindings: { ...weightBindings(part), x, y },
    grid: [blockCount(ceilDivide(part.rowCount, OUTPUTS), multiprocessors), 1, 1],
  }));
}

/** y [columns, F] f16 = silu(gate) * up of a weight [2 F, K]. */
export function cudaMatvecSwiglu(options: CudaMatvecOptions & { readonly y: BufferRef }): KernelCall {
  const { label, columns, weight, x, y, multiprocessors } = options;
  const F = weight.N / 2;
  return {
    label,
    program: cudaProgram('matvec-q4', {
      variants: ['store-swiglu'],
      constants: { K: weight.K, F, COLUMNS: columns },
    }),
    bindings: { ...weightBindings(onlyPart(weight)), x, y },
    grid: [blockCount(F / OCTET, multiprocessors), 1, 1],
  };
}

/** The qkv product with bias, M-RoPE and the append to the KV cache in f16; q in f16 as `queryScale` says. */
export function cudaMatvecRope(
  options: CudaMatvecOptions & Omit<RopeAppendOptions, 'label' | 'qkv' | 'cacheFormat'>,
): KernelCall {
  const { label, columns, weight, x, bias, rope, rows, q, keys, values, D, multiprocessors } = options;
  return {
    label,
    program: cudaProgram('matvec-q4', {
      variants: ['store-rope'],
      constants: {
        K: weight.K,
        N: weight.N,
        COLUMNS: columns,
        ...ropeConstants(options),
        Q_SCALE: queryScale(D, 'f16'),
      },
    }),
    bindings: { ...weightBindings(onlyPart(weight)), x, bias, rope, rows, q, keys, values },
    grid: [blockCount(ceilDivide(weight.N, OUTPUTS), multiprocessors), 1, 1],
  };
}

/** y = x in f16, `count` values. */
export function toFloat16(options: {
  readonly label: string;
  readonly count: number;
  readonly x: BufferRef;
  readonly y: BufferRef;
}): KernelCall {
  const { label, count, x, y } = options;
  return {
    label,
    program: cudaProgram('to-f16', { constants: { COUNT: count } }),
    bindings: { x, y },
    grid: [ceilDivide(count, 256), 1, 1],
  };
}
