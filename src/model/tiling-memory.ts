import { adapterKey, type Capabilities } from '../gpu/capabilities.ts';
import type { CompileOptions, Int8Tilings } from './compile-options.ts';
import type { TextConfig } from './config.ts';
import { equalTilings, TILED_PRODUCTS, tilingCandidates } from './tiling-candidates.ts';

/** Remembers by adapter and shapes which tilings were fastest. A memory that fails is as good as none. */
export interface TilingMemory {
  get(key: string): Promise<unknown>;
  put(key: string, tilings: Int8Tilings): Promise<void>;
}

/** Raised when the kernels change so much that another tiling may be the fastest. */
const VERSION = 1;

/** Names what a measurement depends on: the adapter, the products' shapes and how they add up. */
export function tilingKey(
  capabilities: Capabilities,
  { C, H, KV, D, F, V }: TextConfig,
  { reduction, leastSubgroup }: Pick<CompileOptions, 'reduction' | 'leastSubgroup'>,
): string {
  return [adapterKey(capabilities), C, H, KV, D, F, V, reduction, leastSubgroup, VERSION].join('|');
}

/** The tilings of a record, or `undefined` for one that this device could not have left. */
export function parseTilings(
  record: unknown,
  options: Pick<CompileOptions, 'int8Tilings' | 'reduction' | 'leastSubgroup'>,
  capabilities: Pick<Capabilities, 'subgroupSizes' | 'limits'>,
): Int8Tilings | undefined {
  if (typeof record !== 'object' || record === null) return undefined;
  const entries = TILED_PRODUCTS.map((product) => {
    const stored = (record as Partial<Int8Tilings>)[product];
    const known = tilingCandidates(product, options, capabilities).find(
      (tiling) => stored !== undefined && stored !== null && equalTilings(tiling, stored),
    );
    return [product, known] as const;
  });
  return entries.every(([, tiling]) => tiling !== undefined)
    ? (Object.fromEntries(entries) as Int8Tilings)
    : undefined;
}
