import storePlainSource from '#shaders/preludes/store4-plain.wgsl?raw';
import storeRopeSource from '#shaders/preludes/store4-rope.wgsl?raw';
import source from '#shaders/matvec-int8.wgsl?raw';
import { ceilDivide } from '../base/maths.ts';
import type { Prelude } from '../gpu/device.ts';
import type { Int8Activations } from './int8-activations.ts';
import { prelude, type BufferRef, type KernelCall, type Reduction, type WeightMatrix } from './kernel.ts';
import { APPEND_QUAD, cachePrelude, ROW } from './prelude-sources.ts';
import { ropeConstants, type RopeAppendOptions } from './rope-append.ts';
import { rowProduct, type RowTiling } from './row-tiling.ts';
import { weightBindings } from './weight-bindings.ts';

/** Storage buffers that `ropeQkvInt8` binds: more than every device grants. */
export const ROPE_QKV_STORAGE_BUFFERS = 10;

/** What the int8 products compute with; shapes in brackets. */
export interface MatvecInt8Options {
  readonly label: string;
  /** Rows of x: 1 to 8. */
  readonly columns: number;
  /** [N, K] at `q4` */
  readonly weight: WeightMatrix;
  readonly reduction: Reduction;
  /** As in `RowProductOptions`. */
  readonly leastSubgroup?: number | undefined;
  readonly tiling: RowTiling;
  /** [columns, K] */
  readonly x: Int8Activations;
}

/** Where the product of `matvecInt8` goes. */
interface Store {
  readonly preludes: readonly Prelude[];
  readonly constants: Readonly<Record<string, number>>;
  readonly bindings: Readonly<Record<string, BufferRef>>;
}

/** x times the transposed 4-bit weight, for a decode step; one call for each part of the weight. */
export function matvecInt8(options: MatvecInt8Options & { readonly y: BufferRef }): KernelCall[] {
  return product(options, {
    preludes: [prelude('store4-plain', storePlainSource)],
    constants: { Y_STRIDE: options.weight.N },
    bindings: { y: options.y },
  });
}

/** The qkv product with bias, M-RoPE and the append to the KV cache in one; needs `ROPE_QKV_STORAGE_BUFFERS`. */
export function ropeQkvInt8(
  options: MatvecInt8Options & Omit<RopeAppendOptions, 'label' | 'qkv'>,
): KernelCall[] {
  const { bias, rope, rows, q, keys, values, cacheFormat } = options;
  return product(options, {
    preludes: [ROW, cachePrelude(cacheFormat), APPEND_QUAD, prelude('store4-rope', storeRopeSource)],
    constants: { Y_STRIDE: options.weight.N, ...ropeConstants(options) },
    bindings: { bias, rope, rows, q, keys, values },
  });
}

function product(options: MatvecInt8Options, store: Store): KernelCall[] {
  const { label, weight, tiling, x } = options;
  const { preludes, shape } = rowProduct(tiling, { ...options, K: weight.K });
  return weight.parts.map((part): KernelCall => {
    return {
      label,
      program: {
        shader: 'matvec-int8',
        source,
        preludes: [...preludes, ...store.preludes],
        shape,
        constants: { N: part.rowCount, Y_OFFSET: part.firstRow, ...store.constants },
      },
      bindings: { ...weightBindings(part), x_codes: x.codes, x_totals: x.totals, ...store.bindings },
      grid: [ceilDivide(part.rowCount, tiling.rows * tiling.sets), 1, 1],
    };
  });
}
