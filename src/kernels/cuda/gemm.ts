import { assert } from '../../base/assert.ts';
import { ceilDivide } from '../../base/maths.ts';
import type { BufferRef, KernelCall, RowCount, WeightMatrix, WeightPart } from '../kernel.ts';
import { cudaProgram } from './program.ts';

/** Rows and outputs of a block; fixed in the kernels. */
const TILE = 128;
const WIDE_OUTPUTS = 256;

/** What K must be a multiple of. */
export const GEMM_K_UNIT = 32;

/** x times the transposed weight on tensor cores; shapes in brackets. */
export interface GemmOptions {
  readonly label: string;
  readonly rows: RowCount;
  /** [N, K] at `f16` or `q4` */
  readonly weight: WeightMatrix;
  readonly step: BufferRef;
  /** [rows, K] f16 */
  readonly x: BufferRef;
  /** The product as f32; as f16 with a bias; or as f16 of silu(gate) * up, where the weight is gate and up. */
  readonly store: 'f32' | 'f16-bias' | 'swiglu';
  /** [rows, N], or [rows, N / 2] for `swiglu` */
  readonly y: BufferRef;
  /** [N] f32, for `f16-bias` */
  readonly bias?: BufferRef;
  /** [N, K] f16 of work space, for a weight at `q4` */
  readonly unpacked: BufferRef;
  /** How a weight at `q4` lies in memory; `packed` as `packQ4` leaves it. */
  readonly layout?: 'rows' | 'packed';
  /** By Hopper's own matrix instructions. */
  readonly isWide: boolean;
}

/** True for a weight that `gemm` can multiply. */
export function fitsGemm({ format, K, N, parts }: WeightMatrix): boolean {
  return (format === 'f16' || format === 'q4') && K % GEMM_K_UNIT === 0 && N % 2 === 0 && parts.length === 1;
}

export function gemm(options: GemmOptions): KernelCall[] {
  const { label, rows, weight, step, x, store, y, bias, unpacked, layout = 'rows', isWide } = options;
  const { N, K, format } = weight;
  const part = onlyPart(weight);
  const isQuantized = format === 'q4';
  return [
    ...(isQuantized ? [dequantize(label, weight, part, { y: unpacked, layout })] : []),
    {
      label,
      program: cudaProgram(isWide ? 'gemm-wide' : 'gemm-f16', {
        variants: [`store-${store}`],
        constants: { K, N },
      }),
      bindings: { weight: isQuantized ? unpacked : part.weight, step, x, ...(bias && { bias }), y },
      // Neighbouring blocks share the weight's rows, which are read from memory once; x stays in the L2 cache.
      grid: [{ rows, per: TILE }, ceilDivide(N, isWide ? WIDE_OUTPUTS : TILE), 1],
    },
  ];
}

function dequantize(
  label: string,
  { N, K }: WeightMatrix,
  part: WeightPart,
  { y, layout }: { y: BufferRef; layout: 'rows' | 'packed' },
): KernelCall {
  const isPacked = layout === 'packed';
  const count = (N * K) / (isPacked ? 32 : 8);
  return {
    label: `${label}.unpack`,
    program: cudaProgram('dequantize-q4', {
      variants: [layout],
      constants: { K, [isPacked ? 'PIECES' : 'WORDS']: count },
    }),
    bindings: { weight: part.weight, weight_scale: part.scale as BufferRef, y },
    grid: [ceilDivide(count, 256), 1, 1],
  };
}

/** The part of a matrix that one binding holds whole, as CUDA's always do. */
export function onlyPart({ name, parts }: WeightMatrix): WeightPart {
  assert(parts.length === 1, `"${name}" is in ${parts.length} parts`);
  return parts[0];
}
