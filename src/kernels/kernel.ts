import type { Prelude, ProgramDescriptor } from '../gpu/device.ts';

/**
 * A kernel file describes one op as plain data: which program, which buffers, how many workgroups.
 * Nothing here touches a device; the executor in `src/model` does.
 */

/** A range of a buffer that a Plan names. */
export interface BufferRef {
  /** Name in the Plan's buffer table, such as `hidden` or `weights.layer.3`. */
  readonly buffer: string;
  readonly byteOffset?: number;
  readonly byteLength?: number;
}

/** Row counts that are known only when a step runs: tokens of a chunk, patches, merged patches. */
export type RowCount = 'tokens' | 'patches' | 'mergedPatches';

/** Workgroups in one dimension: a number, or one workgroup for every `per` rows. */
export type Extent = number | RowExtent;

/** One workgroup for every `per` rows; of a piece's calls, for those of its rows that a step has. */
export interface RowExtent {
  readonly rows: RowCount;
  readonly per: number;
  readonly piece?: RowPiece;
}

/** Consecutive rows of a step that are computed by themselves. */
export interface RowPiece {
  readonly firstRow: number;
  readonly rowCount: number;
}

/** Rows of a piece that a step of so many rows has. */
export function rowsWithin({ firstRow, rowCount }: RowPiece, stepRows: number): number {
  return Math.max(0, Math.min(rowCount, stepRows - firstRow));
}

/** One dispatch of a Plan. */
export interface KernelCall {
  /** Place in the model, such as `layer.3.attention`. */
  readonly label: string;
  readonly program: ProgramDescriptor;
  readonly bindings: Readonly<Record<string, BufferRef>>;
  readonly grid: readonly [Extent, Extent, Extent];
  /** Bytes of weights that it reads, where its bindings hold more. */
  readonly weightBytes?: number;
}

/** How partial sums of a workgroup are added: by subgroup operations or through workgroup memory. */
export type Reduction = 'subgroup' | 'workgroup';

/** Number format of the KV cache; `q8` has 7 bits a value and an exponent for every four, 8 bits in all. */
export type CacheFormat = 'f16' | 'f32' | 'q8';

/** Number formats of the vision tower's keys and values, which are written two at a time. */
export type PairCacheFormat = Exclude<CacheFormat, 'q8'>;

/** Bytes of one cached value. */
export const CACHE_BYTES: Readonly<Record<CacheFormat, number>> = { f32: 4, f16: 2, q8: 1 };

/** A matrix [N, K] on the device, cut by rows where one binding could not hold it. */
export interface WeightMatrix {
  readonly name: string;
  readonly N: number;
  readonly K: number;
  readonly format: WeightFormat;
  readonly parts: readonly WeightPart[];
}

/** Consecutive rows of a matrix. */
export interface WeightPart {
  readonly firstRow: number;
  readonly rowCount: number;
  readonly weight: BufferRef;
  /** f16 scales of groups of 32 along K; only for quantised formats. */
  readonly scale?: BufferRef;
}

/** How a matrix is stored. `q4` and `q8` are groups of 32 along K with one f16 scale each. */
export type WeightFormat = 'f32' | 'f16' | 'q4' | 'q8';

/** Smallest unit along K that all formats and kernels agree on. */
export const K_UNIT = 8;

/** A prelude with a name for labels. */
export function prelude(name: string, source: string): Prelude {
  return { name, source };
}
