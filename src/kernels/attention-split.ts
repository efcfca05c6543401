import source from '#shaders/attention-split.wgsl?raw';
import type { BufferRef, CacheFormat, KernelCall } from './kernel.ts';
import { cachePrelude, KEYS_PER_SPLIT, ROW } from './prelude-sources.ts';

/** How a workgroup of `attentionSplit` shares its work. */
export interface SplitTiling {
  /** Invocations: at least D / 8 times `headGroups`, by a power of two. */
  readonly workgroup: number;
  /** Invocations that share a key: 4, or 8 where no subgroup is smaller. D is at least eight times as much. */
  readonly keyLanes: 4 | 8;
  /** Keys of a tile for every 4 `keyLanes` invocations: a multiple of 4. */
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

/** Whether `attentionSplit` can serve these heads. */
export function supportsAttentionSplit(
  { H, KV, D }: { H: number; KV: number; D: number },
  { keyLanes }: SplitTiling,
): boolean {
  return H / KV <= MOST_HEADS && D >= keyLanes * 8 && D <= 128 && Math.log2(D) % 1 === 0;
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
      preludes: [ROW, KEYS_PER_SPLIT, cachePrelude(cacheFormat)],
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
