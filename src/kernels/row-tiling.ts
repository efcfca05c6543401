import dotRowsSource from '#shaders/preludes/dot-rows-int8.wgsl?raw';
import lanesSubgroupSource from '#shaders/preludes/lanes-subgroup.wgsl?raw';
import lanesWorkgroupSource from '#shaders/preludes/lanes-workgroup.wgsl?raw';
import type { Prelude } from '../gpu/device.ts';
import { INT8_GROUP } from './int8-activations.ts';
import { prelude, type Reduction } from './kernel.ts';

/** How a workgroup of an int8 product shares its work. */
export interface RowTiling {
  /** Invocations that share a row: a power of two, and a multiple of every subgroup size that may come. */
  readonly lanes: number;
  /** Sets of lanes in a workgroup. */
  readonly sets: number;
  /** Rows of the weight that a set takes: a multiple of 4. */
  readonly rows: number;
}

/** What a product of rows depends on besides its tiling. */
export interface RowProductOptions {
  readonly K: number;
  /** Rows of x: 1 to 8. */
  readonly columns: number;
  readonly reduction: Reduction;
  /** Invocations that every subgroup has at least; workgroup memory is made for it. Default: 4. */
  readonly leastSubgroup?: number | undefined;
}

/** `dot_rows`, the products of a set with int8 digits. */
const DOT_ROWS: Prelude = prelude('dot-rows-int8', dotRowsSource);

/** Preludes and constants of the kernels that multiply rows of a 4-bit weight with int8 digits. */
export function rowProduct(
  { lanes, sets, rows }: RowTiling,
  { K, columns, reduction, leastSubgroup = 4 }: RowProductOptions,
): { readonly preludes: readonly Prelude[]; readonly shape: Readonly<Record<string, number>> } {
  const sum =
    reduction === 'subgroup'
      ? prelude('lanes-subgroup', lanesSubgroupSource)
      : prelude('lanes-workgroup', lanesWorkgroupSource);
  return {
    preludes: [DOT_ROWS, sum],
    shape: {
      GROUPS: K / INT8_GROUP,
      COLUMNS: columns,
      ROWS: rows,
      LANES: lanes,
      WORKGROUP: lanes * sets,
      ...(reduction === 'subgroup' && { LEAST_SUBGROUP: leastSubgroup }),
    },
  };
}
