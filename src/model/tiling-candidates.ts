import { LEAST_WORKGROUP_STORAGE_BYTES, type Capabilities } from '../gpu/capabilities.ts';
import type { RowTiling } from '../kernels/row-tiling.ts';
import type { CompileOptions, Int8Tilings } from './compile-options.ts';
import { MAX_COLUMNS } from './text-buffers.ts';

/** A product of a decode step that has a tiling of its own. */
export type TiledProduct = keyof Int8Tilings;

/** All of them. */
export const TILED_PRODUCTS: readonly TiledProduct[] = ['qkv', 'o', 'gateUp', 'down', 'head'];

/** From one subgroup a row to many, and from one set of rows a workgroup to four. */
const PLAIN: readonly RowTiling[] = [
  { lanes: 32, sets: 4, rows: 4 },
  { lanes: 64, sets: 1, rows: 4 },
  { lanes: 64, sets: 2, rows: 4 },
  { lanes: 128, sets: 1, rows: 4 },
  { lanes: 128, sets: 1, rows: 8 },
  { lanes: 256, sets: 1, rows: 4 },
];

/** Of those that make one group of 32 outputs: 64 rows of gate and up. */
const GATED: readonly RowTiling[] = [
  { lanes: 32, sets: 4, rows: 16 },
  { lanes: 32, sets: 8, rows: 8 },
  { lanes: 64, sets: 2, rows: 32 },
  { lanes: 64, sets: 4, rows: 16 },
  { lanes: 128, sets: 2, rows: 32 },
];

/** Bytes of a vec4. */
const VECTOR = 16;

/** The tilings that a device can run of a product, that of the options first; each serves steps of 1 to 8 sequences. */
export function tilingCandidates(
  product: TiledProduct,
  options: Pick<CompileOptions, 'int8Tilings' | 'reduction' | 'leastSubgroup'>,
  { subgroupSizes, limits }: Pick<Capabilities, 'subgroupSizes' | 'limits'>,
): readonly RowTiling[] {
  const present = options.int8Tilings[product];
  const isSubgroup = options.reduction === 'subgroup';
  const fits = (tiling: RowTiling): boolean =>
    (!isSubgroup || tiling.lanes % subgroupSizes.max === 0) &&
    tiling.lanes * tiling.sets <= limits.maxWorkgroupInvocations &&
    workgroupBytes(product, tiling, isSubgroup ? options.leastSubgroup : undefined) <=
      LEAST_WORKGROUP_STORAGE_BYTES;
  const others = (product === 'gateUp' ? GATED : PLAIN).filter(
    (tiling) => fits(tiling) && !equalTilings(tiling, present),
  );
  return [present, ...others];
}

/** Whether two tilings share the work alike. */
export function equalTilings(a: RowTiling, b: RowTiling): boolean {
  return (
    a.lanes === b.lanes && a.sets === b.sets && a.rows === b.rows && Boolean(a.inTurn) === Boolean(b.inTurn)
  );
}

/** Workgroup memory of the widest step, as preludes/lanes-*.wgsl and, of gate and up, the rounding of the outputs take it. */
function workgroupBytes(
  product: TiledProduct,
  { lanes, sets, rows }: RowTiling,
  leastSubgroup: number | undefined,
): number {
  const workgroup = lanes * sets;
  const values = (MAX_COLUMNS * rows) / 4;
  const sums =
    leastSubgroup === undefined ? workgroup + values * sets : values * Math.ceil(workgroup / leastSubgroup);
  const rounding = product === 'gateUp' ? MAX_COLUMNS * 32 * 4 + workgroup * 8 : 0;
  return sums * VECTOR + rounding;
}
