import { CACHE_BYTES, type BufferRef } from '../kernels/kernel.ts';
import type { CompileOptions } from './compile-options.ts';
import type { TextConfig } from './config.ts';
import type { PlanBuilder, ScratchBuffer } from './plan.ts';
import { ROW_BYTES } from './step.ts';

/** Names of the buffers through which the host and the Plans of the text model meet. */
export const TEXT_BUFFERS = {
  /** [prefillChunk] `Row` of a prompt's chunk */
  promptRows: 'prompt-rows',
  /** [MAX_COLUMNS] `Row` of the running sequences; the sampler moves them on */
  decodeRows: 'decode-rows',
  /** [slots] `Row` of sequences that are not in the running step */
  slotRows: 'slot-rows',
  /** [1] `Row` of a sequence whose first token is sampled from its prefill */
  firstRow: 'first-row',
  /** Keys or values of one head of a slot, on their way to another slot */
  cacheCopy: 'cache-copy',
  /** `Step` */
  step: 'step',
  /** `Step` of a chunk's last row alone */
  lastStep: 'last-step',
  /** [1, H, D] the last row's queries */
  lastQueries: 'last-q',
  /** [1, C] the last row of the residual stream */
  lastHidden: 'last-hidden',
  /** [T, H, D] queries of a layer */
  queries: 'q',
  /** [T, C] f32: features of the chunk's image tokens */
  features: 'features',
  /** [positions, rotaryDimensions / 2] cosine and sine */
  rope: 'rope',
  /** [T, C] residual stream */
  hidden: 'hidden',
  /** [T, C] after the last norm */
  normed: 'normed',
  /** [rows, C] input of the head */
  headInput: 'head-input',
  /** [rows, V] */
  logits: 'logits',
} as const;

/** Most sequences of a decode step, and most rows of one head step. */
export const MAX_COLUMNS = 8;

/** Most rows that one sequence takes in a step: its next token and the guesses after it. */
export const MAX_GUESS_COLUMNS = 4;

/** Most rows that a decode step of a model has: a sequence of each slot, or one with its guesses. */
export function mostColumns({ slots }: Pick<CompileOptions, 'slots'>): number {
  return Math.min(MAX_COLUMNS, Math.max(slots, MAX_GUESS_COLUMNS));
}

/** What the host keeps for the sequences beside the buffers of the Plans. */
export function slotBuffers(
  { D }: Pick<TextConfig, 'D'>,
  { slots, context, cacheFormat }: CompileOptions,
): ReadonlyMap<string, ScratchBuffer> {
  const storage = (byteLength: number): ScratchBuffer => ({ byteLength, usage: 'storage' });
  const buffers = new Map([
    [TEXT_BUFFERS.slotRows, storage(slots * ROW_BYTES)],
    [TEXT_BUFFERS.firstRow, storage(ROW_BYTES)],
  ] as [string, ScratchBuffer][]);
  if (slots > 1) buffers.set(TEXT_BUFFERS.cacheCopy, storage(context * D * CACHE_BYTES[cacheFormat]));
  return buffers;
}

/** Keys and values of a layer: [slots, KV, context, D] each, in the cache's format. */
export function addKeyValueCache(
  builder: PlanBuilder,
  { KV, D }: TextConfig,
  { slots, context, cacheFormat }: CompileOptions,
  layer: number,
): { keys: BufferRef; values: BufferRef } {
  const words = (slots * KV * context * D * CACHE_BYTES[cacheFormat]) / 4;
  return { keys: builder.buffer(`keys.${layer}`, words), values: builder.buffer(`values.${layer}`, words) };
}
