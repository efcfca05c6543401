import source from '#shaders/attention-split.wgsl?raw';
import { LEAST_WORKGROUP_STORAGE_BYTES } from '../gpu/capabilities.ts';
import type { BufferRef, CacheFormat, KernelCall } from './kernel.ts';
import { cachePrelude, SPLIT_RUNS, ROW } from './prelude-sources.ts';

/** How a workgroup of `attentionSplit` shares its work. */
export interface SplitTiling {
  /** Invocations: at least D / 8 times `headGroups`, by a power of two. */
  readonly workgroup: number;
  /** Invocations that share a key: 4, or 8 where no subgroup is smaller. D is at least eight times as much. */
  readonly keyLanes: 4 | 8;
  /** Keys of a tile for every 4 `keyLanes` invocations: a multiple of 4. A run of 32 keys is one tile or a few. */
  readonly keys: number;
  /** Teams that share the 16 heads: a power of two. */
  readonly headGroups: number;
}

/** What the attention of a decode step computes with, before its splits are joined; shapes in brackets. */
export interface SplitKeysOptions {
  readonly label: string;
  /** Sequences of the step: 1 to 8. */
  readonly columns: number;
  readonly H: number;
  readonly KV: number;
  /** At most 256. */
  readonly D: number;
  readonly cacheFormat: CacheFormat;
  /** Positions that a slot of the cache holds. */
  readonly context: number;
  /** Workgroups that share the keys of one KV head. */
  readonly splits: number;
  /** Present where subgroups may be used. */
  readonly tiling?: SplitTiling | undefined;
  /** [B, H, D] f32 */
  readonly q: BufferRef;
  /** [slots, KV, context, D] each, in the cache's format */
  readonly keys: BufferRef;
  readonly values: BufferRef;
  /** [B] `Row`s */
  readonly rows: BufferRef;
  /** [B, H, splits, D] f32, scratch */
  readonly partialOutput: BufferRef;
  /** [B, H, splits, 2] f32, scratch */
  readonly partialStats: BufferRef;
}

/** Heads that the kernel holds. */
const MOST_HEADS = 16;

/** Keys that a split takes at a time, as in shaders/preludes/split-runs.wgsl. */
const RUN = 32;

/** Bytes of eight dimensions in the cache. */
const OCTET_BYTES: Readonly<Record<CacheFormat, number>> = { f32: 32, f16: 16, q8: 8 };

/** Whether `attentionSplit` can serve these heads with this tiling, on any device. */
export function supportsAttentionSplit(
  { H, KV, D, cacheFormat }: Pick<SplitKeysOptions, 'H' | 'KV' | 'D' | 'cacheFormat'>,
  { workgroup, keyLanes, keys }: SplitTiling,
): boolean {
  const slots = workgroup / (4 * keyLanes);
  const tile = slots * keys;
  const octetBytes = tile * OCTET_BYTES[cacheFormat] + MOST_HEADS * 16;
  const scoreBytes = MOST_HEADS * 4 * (tile + slots + 1);
  return (
    RUN % tile === 0 &&
    H / KV <= MOST_HEADS &&
    D >= keyLanes * 8 &&
    D <= 128 &&
    Math.log2(D) % 1 === 0 &&
    (D / 8) * octetBytes + scoreBytes <= LEAST_WORKGROUP_STORAGE_BYTES
  );
}

/** Attention of one token a sequence over each part of the keys; `attentionCombine` joins them. Needs subgroups. */
export function attentionSplit(
  options: SplitKeysOptions & {
    readonly tiling: SplitTiling;
  },
): KernelCall {
  const { label, columns, H, KV, D, cacheFormat, context, splits, tiling } = options;
  const { q, keys, values, rows, partialOutput, partialStats } = options;
  return {
    label,
    program: {
      shader: 'attention-split',
      source,
      preludes: [ROW, SPLIT_RUNS, cachePrelude(cacheFormat)],
      shape: {
        D8: D / 8,
        GROUP: H / KV,
        WORKGROUP: tiling.workgroup,
        KEY_LANES: tiling.keyLanes,
        KEYS: tiling.keys,
        HEAD_GROUPS: tiling.headGroups,
      },
      constants: { H, KV, CONTEXT: context, SCALE: D ** -0.5, SPLITS: splits },
    },
    bindings: {
      q,
      keys,
      values,
      rows,
      partial_output: partialOutput,
      partial_stats: partialStats,
    },
    grid: [splits, KV, columns],
  };
}
