import source from '#shaders/attention-decode.wgsl?raw';
import { attentionCombine } from './attention-combine.ts';
import { attentionCombineInt8 } from './attention-combine-int8.ts';
import type { Int8Activations } from './int8-activations.ts';
import { attentionSplit, supportsAttentionSplit, type SplitKeysOptions } from './attention-split.ts';
import type { BufferRef, KernelCall, Reduction } from './kernel.ts';
import { cachePrelude, SPLIT_RUNS, ROW } from './prelude-sources.ts';

/** Invocations of a workgroup; fixed in the shader. */
const WIDTH = 64;

/** What `attentionDecode` computes with; shapes in brackets. */
export interface AttentionDecodeOptions extends SplitKeysOptions {
  /** [B, H, D] f32 */
  readonly output: BufferRef;
}

/** Attention of one token a sequence: split along the keys, then joined. */
export function attentionDecode(options: AttentionDecodeOptions): KernelCall[] {
  return [splitKeys(options), attentionCombine({ ...options, label: `${options.label}.combine` })];
}

/** `attentionDecode` whose output goes to a product in int8. */
export function attentionDecodeInt8(
  options: SplitKeysOptions & {
    readonly reduction: Reduction;
    readonly output: Int8Activations;
  },
): KernelCall[] {
  return [splitKeys(options), attentionCombineInt8({ ...options, label: `${options.label}.combine` })];
}

/** Attention of one token a sequence over each part of the keys; its parts are yet to be joined. */
export function splitKeys(options: SplitKeysOptions): KernelCall {
  const { tiling } = options;
  const label = `${options.label}.split`;
  if (tiling && supportsAttentionSplit(options, tiling)) return attentionSplit({ ...options, label, tiling });
  return splitInWorkgroup({ ...options, label });
}

function splitInWorkgroup(options: SplitKeysOptions): KernelCall {
  const { label, columns, H, KV, D, cacheFormat, context, splits } = options;
  const { q, keys, values, rows, partialOutput, partialStats } = options;
  return {
    label,
    program: {
      shader: 'attention-decode',
      source,
      preludes: [ROW, SPLIT_RUNS, cachePrelude(cacheFormat)],
      shape: { D4: D / 4, GROUP: H / KV, PARTS: softmaxParts(H / KV) },
      constants: { H, KV, CONTEXT: context, SCALE: D ** -0.5, SPLITS: splits },
    },
    bindings: { q, keys, values, rows, partial_output: partialOutput, partial_stats: partialStats },
    grid: [splits, KV, columns],
  };
}

/** Invocations that share one head's softmax over a tile of 32 keys: a power of two. */
function softmaxParts(group: number): number {
  return Math.max(1, Math.min(32, 2 ** Math.floor(Math.log2(WIDTH / group))));
}
