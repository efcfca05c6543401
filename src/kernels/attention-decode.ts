import source from '#shaders/attention-decode.wgsl?raw';
import { attentionCombine } from './attention-combine.ts';
import type { BufferRef, CacheFormat, KernelCall } from './kernel.ts';
import { cachePrelude, KEYS_PER_SPLIT, ROW } from './prelude-sources.ts';

/** What `attentionDecode` computes with; shapes in brackets. */
export interface AttentionDecodeOptions {
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
  /** [B, H, D] f32 */
  readonly output: BufferRef;
}

/** Attention of one token a sequence: split along the keys, then joined. */
export function attentionDecode(options: AttentionDecodeOptions): KernelCall[] {
  const { label, columns, H, D, splits, rows, partialOutput, partialStats, output } = options;
  const partial = { rows, partialOutput, partialStats };
  return [
    splitAttention(options),
    attentionCombine({ label: `${label}.combine`, columns, H, D, splits, ...partial, output }),
  ];
}

function splitAttention(options: AttentionDecodeOptions): KernelCall {
  const { label, columns, H, KV, D, cacheFormat, context, splits } = options;
  const { q, keys, values, rows, partialOutput, partialStats } = options;
  return {
    label: `${label}.split`,
    program: {
      shader: 'attention-decode',
      source,
      preludes: [ROW, KEYS_PER_SPLIT, cachePrelude(cacheFormat)],
      shape: { D4: D / 4, GROUP: H / KV },
      constants: { H, KV, CONTEXT: context, SCALE: D ** -0.5, SPLITS: splits },
    },
    bindings: { q, keys, values, rows, partial_output: partialOutput, partial_stats: partialStats },
    grid: [splits, KV, columns],
  };
}
