import source from '#shaders/top-logprobs.wgsl?raw';
import type { BufferRef, Extent, KernelCall } from './kernel.ts';
import { logitChunkCount, RANKED_TOKEN, SAMPLER, samplerShape } from './sampler-prelude.ts';

/** What `topLogprobs` reads and writes; shapes in brackets. */
export interface TopLogprobsOptions {
  readonly label: string;
  /** Rows of logits: a number, or one for each token of a step. */
  readonly batch: Extent;
  readonly V: number;
  /** Tokens to rank: 1 to 20. */
  readonly K: number;
  /** Invocations of a workgroup, at least 16. */
  readonly workgroup: number;
  /** [batch, V] f32 */
  readonly logits: BufferRef;
  /** [batch, chunks, K] of token id and logit */
  readonly best: BufferRef;
  /** [batch, chunks] of largest logit and sum of exponentials */
  readonly sums: BufferRef;
}

/** Ranks the tokens of each chunk of raw logits; `mergeLogprobs` makes log-probabilities of rows of them. */
export function topLogprobs(options: TopLogprobsOptions): KernelCall {
  const { label, batch, V, K, workgroup, logits, best, sums } = options;
  return {
    label,
    program: {
      shader: 'top-logprobs',
      source,
      preludes: [SAMPLER, RANKED_TOKEN],
      shape: samplerShape(workgroup),
      constants: { V, K },
    },
    bindings: { logits, best, sums },
    grid: [logitChunkCount(V), batch, 1],
  };
}

/** Byte lengths of the buffers between `topLogprobs` and `mergeLogprobs`. */
export function rankingByteLengths({ V, batch, K }: { V: number; batch: number; K: number }): {
  best: number;
  sums: number;
} {
  const chunks = batch * logitChunkCount(V);
  return { best: chunks * K * 8, sums: chunks * 8 };
}
