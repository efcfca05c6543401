import source from '#shaders/merge-logprobs.wgsl?raw';
import targetListSource from '#shaders/preludes/target-list.wgsl?raw';
import targetRowSource from '#shaders/preludes/target-row.wgsl?raw';
import { ceilDivide } from '../base/maths.ts';
import { prelude, type BufferRef, type Extent, type KernelCall } from './kernel.ts';
import { ROW } from './prelude-sources.ts';
import { logitChunkCount, RANKED_TOKEN, SAMPLER, samplerShape } from './sampler-prelude.ts';

/** Whose log-probability is reported beside the K best, and where the results of a row go. */
export type LogprobTarget =
  /** [batch] u32: a token for each row (`FAULT_TOKEN` for none); results in order of rows. */
  | { readonly targets: BufferRef }
  /** [batch] `Row` after `sampleToken`: the token just chosen; results in a ring of `ring` steps for each slot. */
  | { readonly rows: BufferRef; readonly ring: number };

/** What `mergeLogprobs` reads and writes; shapes in brackets. */
export interface MergeLogprobsOptions {
  readonly label: string;
  /** Rows of logits: a number, or one for each token of a step. */
  readonly batch: Extent;
  readonly V: number;
  /** Tokens to rank, as `topLogprobs` did: 1 to 20. */
  readonly K: number;
  /** Invocations of a workgroup, at least 16. */
  readonly workgroup: number;
  readonly target: LogprobTarget;
  /** [batch, V] f32 */
  readonly logits: BufferRef;
  /** [batch, chunks, K] of `topLogprobs` */
  readonly best: BufferRef;
  /** [batch, chunks] of `topLogprobs` */
  readonly sums: BufferRef;
  /**
   * [batch or slots * ring, 1 + K] of token id (u32) and log-probability (f32): the target, then the K best.
   * An id of `FAULT_TOKEN` fills places for which no token has a finite logit. Log-probabilities below -1e38 say that
   * the row holds a NaN or an infinity.
   */
  readonly logprobs: BufferRef;
}

/** Natural log of the softmax of raw logits: of the K best tokens of each row, best first, and of one given token. */
export function mergeLogprobs(options: MergeLogprobsOptions): KernelCall {
  const { label, batch, V, K, workgroup, target, logits, best, sums, logprobs } = options;
  const isRing = 'rows' in target;
  const chunks = logitChunkCount(V);
  return {
    label,
    program: {
      shader: 'merge-logprobs',
      source,
      preludes: [
        SAMPLER,
        RANKED_TOKEN,
        ...(isRing
          ? [ROW, prelude('target-row', targetRowSource)]
          : [prelude('target-list', targetListSource)]),
      ],
      shape: { ...samplerShape(workgroup), CHUNKS_PER_INVOCATION: ceilDivide(chunks, workgroup) },
      constants: { V, K, CHUNKS: chunks, ...(isRing ? { RING: target.ring } : {}) },
    },
    bindings: {
      logits,
      best,
      sums,
      ...(isRing ? { rows: target.rows } : { targets: target.targets }),
      logprobs,
    },
    grid: [batch, 1, 1],
  };
}
