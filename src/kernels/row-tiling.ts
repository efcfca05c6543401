import columns2Source from '#shaders/preludes/columns-2.wgsl?raw';
import columns3Source from '#shaders/preludes/columns-3.wgsl?raw';
import columns4Source from '#shaders/preludes/columns-4.wgsl?raw';
import dotRowsSource from '#shaders/preludes/dot-rows-int8.wgsl?raw';
import dotTurnsSource from '#shaders/preludes/dot-turns-int8.wgsl?raw';
import lanesSubgroupSource from '#shaders/preludes/lanes-subgroup.wgsl?raw';
import lanesWorkgroupSource from '#shaders/preludes/lanes-workgroup.wgsl?raw';
import productSource from '#shaders/preludes/product-int8.wgsl?raw';
import { assert } from '../base/assert.ts';
import type { Prelude } from '../gpu/device.ts';
import { INT8_GROUP } from './int8-activations.ts';
import { prelude, type Reduction } from './kernel.ts';
import { DOT_GROUP, QUAD } from './prelude-sources.ts';

/** How a workgroup of an int8 product shares its work. */
export interface RowTiling {
  /**
   * Invocations that share a row: a power of two, and a multiple of every subgroup size that may come. Of sets in turn,
   * all invocations: one at least for each 32 of K, and a multiple of the subgroups' size.
   */
  readonly lanes: number;
  /** Sets of rows that a workgroup takes. */
  readonly sets: number;
  /** Rows of the weight in a set: a multiple of 4; of sets in turn, 4 or 8. */
  readonly rows: number;
  /**
   * Whether the same invocations take one set after the other, and keep the activations in registers: for 2 to 4 rows of
   * x and subgroups of one size. Otherwise each set has invocations of its own.
   */
  readonly inTurn?: boolean;
}

/** What a product of rows depends on besides its tiling. */
export interface RowProductOptions {
  readonly K: number;
  /** Rows of x: 1 to 8. */
  readonly columns: number;
  readonly reduction: Reduction;
  /** Invocations that every subgroup has at least, or, of sets in turn, exactly. Default: 4. */
  readonly leastSubgroup?: number | undefined;
}

interface RowProduct {
  readonly preludes: readonly Prelude[];
  readonly shape: Readonly<Record<string, number>>;
}

const PRODUCT: Prelude = prelude('product-int8', productSource);

/** By rows of x. */
const COLUMNS: readonly (Prelude | undefined)[] = [
  undefined,
  undefined,
  prelude('columns-2', columns2Source),
  prelude('columns-3', columns3Source),
  prelude('columns-4', columns4Source),
];

/** Whether so many rows of x can be kept in registers, which sets in turn need. */
export function keepsColumns(columns: number): boolean {
  return COLUMNS[columns] !== undefined;
}

/** Preludes and constants of the kernels that multiply rows of a 4-bit weight with int8 digits. */
export function rowProduct(tiling: RowTiling, options: RowProductOptions): RowProduct {
  const { lanes, sets, rows, inTurn = false } = tiling;
  const { K, columns, reduction, leastSubgroup = 4 } = options;
  const shape = { GROUPS: K / INT8_GROUP, COLUMNS: columns, ROWS: rows };
  if (inTurn) {
    const kept = COLUMNS[columns];
    assert(kept !== undefined && reduction === 'subgroup', '2 to 4 rows of x, summed by subgroups');
    assert(lanes >= K / INT8_GROUP && lanes % leastSubgroup === 0, 'an invocation keeps 32 of K');
    return {
      preludes: [DOT_GROUP, PRODUCT, QUAD, kept, prelude('dot-turns-int8', dotTurnsSource)],
      shape: { ...shape, SETS: sets, WORKGROUP: lanes, SUBGROUP: leastSubgroup },
    };
  }
  const sum =
    reduction === 'subgroup'
      ? prelude('lanes-subgroup', lanesSubgroupSource)
      : prelude('lanes-workgroup', lanesWorkgroupSource);
  return {
    preludes: [DOT_GROUP, PRODUCT, prelude('dot-rows-int8', dotRowsSource), sum],
    shape: {
      ...shape,
      LANES: lanes,
      WORKGROUP: lanes * sets,
      ...(reduction === 'subgroup' && { LEAST_SUBGROUP: leastSubgroup }),
    },
  };
}
