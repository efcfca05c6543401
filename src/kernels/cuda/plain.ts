/** Kernels in f32 for every format: what runs where the tensor core kernels do not fit. */
import { ceilDivide } from '../../base/maths.ts';
import type { BufferRef, CacheFormat, Extent, KernelCall, RowCount, WeightMatrix } from '../kernel.ts';
import { weightBindings } from '../weight-bindings.ts';
import { cudaProgram } from './program.ts';

/** Rows and outputs of a block; fixed in the kernel. */
const TILE = 64;

/** x times the transposed weight in f32; shapes in brackets. */
export interface MatmulPlainOptions {
  readonly label: string;
  /** Rows of x: as the step says, or a number. */
  readonly rows: RowCount | number;
  readonly weight: WeightMatrix;
  readonly step: BufferRef;
  /** [rows, K] f32 */
  readonly x: BufferRef;
  /** [rows, N] f32 */
  readonly y: BufferRef;
  /** [N] f32 */
  readonly bias?: BufferRef | undefined;
}

export function matmulPlain(options: MatmulPlainOptions): KernelCall[] {
  const { label, rows, weight, step, x, y, bias } = options;
  const rowTiles: Extent = typeof rows === 'number' ? ceilDivide(rows, TILE) : { rows, per: TILE };
  return weight.parts.map((part) => ({
    label,
    program: cudaProgram('matmul-plain', {
      variants: [`weight-${weight.format}`, bias ? 'store-bias' : 'store-plain'],
      constants: {
        K: weight.K,
        N: part.rowCount,
        Y_STRIDE: weight.N,
        Y_OFFSET: part.firstRow,
        ROWS: typeof rows === 'number' ? rows : 0,
      },
    }),
    bindings: { ...weightBindings(part), step, x, y, ...(bias && { bias }) },
    grid: [ceilDivide(part.rowCount, TILE), rowTiles, 1],
  }));
}

/** y = silu(gate) * up of x [rows, 2 F], all f32. */
export function swigluPlain(options: {
  readonly label: string;
  readonly rows: RowCount;
  readonly F: number;
  readonly x: BufferRef;
  readonly y: BufferRef;
}): KernelCall {
  const { label, rows, F, x, y } = options;
  return {
    label,
    program: cudaProgram('swiglu-plain', { constants: { F } }),
    bindings: { x, y },
    grid: [ceilDivide(F, 128), { rows, per: 1 }, 1],
  };
}

/** Attention in f32: of tokens to their slot's cache up to themselves, or of all patches to all patches. */
export interface AttentionPlainOptions {
  readonly label: string;
  readonly H: number;
  /** At most 256. */
  readonly D: number;
  readonly cacheFormat: CacheFormat;
  /** [rows, H, D] f32 */
  readonly q: BufferRef;
  readonly keys: BufferRef;
  readonly values: BufferRef;
  /** [rows, H, D] f32 */
  readonly output: BufferRef;
}

export function attentionRowsPlain(
  options: AttentionPlainOptions & {
    readonly KV: number;
    readonly context: number;
    /** [tokens] `Row` */
    readonly rows: BufferRef;
  },
): KernelCall {
  const { label, H, KV, D, cacheFormat, context, rows, q, keys, values, output } = options;
  return {
    label,
    program: cudaProgram('attention-rows-plain', {
      variants: [`cache-${cacheFormat}`],
      constants: { H, KV, D, CONTEXT: context, SCALE: D ** -0.5 },
    }),
    bindings: { rows, q, keys, values, output },
    grid: [{ rows: 'tokens', per: 1 }, H, 1],
  };
}

export function attentionPatchesPlain(
  options: AttentionPlainOptions & { readonly step: BufferRef },
): KernelCall {
  const { label, H, D, cacheFormat, step, q, keys, values, output } = options;
  return {
    label,
    program: cudaProgram('attention-patches-plain', {
      variants: [`cache-${cacheFormat}`],
      constants: { H, D, SCALE: D ** -0.5 },
    }),
    bindings: { step, q, keys, values, output },
    grid: [{ rows: 'patches', per: 1 }, H, 1],
  };
}
