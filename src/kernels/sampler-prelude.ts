import rankedTokenSource from '#shaders/preludes/ranked-token.wgsl?raw';
import samplerSource from '#shaders/preludes/sampler.wgsl?raw';
import histogramSource from '#shaders/preludes/weight-histogram.wgsl?raw';
import { ceilDivide } from '../base/maths.ts';
import type { Prelude } from '../gpu/device.ts';
import { prelude } from './kernel.ts';

/** `SamplerSettings`, `LogitSummary` and the noise. */
export const SAMPLER: Prelude = prelude('sampler', samplerSource);
/** Exact counts and sums over the distances of tokens below the best one. */
export const WEIGHT_HISTOGRAM: Prelude = prelude('weight-histogram', histogramSource);

/** `RankedToken` and `SoftmaxPart`. */
export const RANKED_TOKEN: Prelude = prelude('ranked-token', rankedTokenSource);

/** The id that `sampleToken` reports when a logit is NaN or infinite, or when every token is banned. */
export const FAULT_TOKEN = 0xffffffff;

/** Bit of a token count that says that the prompt holds the token; the low 16 bits count generated ones. */
export const COUNT_IN_PROMPT = 0x80000000;

/** Logits that one workgroup of `adjustLogits` sums up. */
const CHUNK = 1024;

/** Shape constants of the sampling kernels. */
export function samplerShape(workgroup: number): Readonly<Record<string, number>> {
  return { WORKGROUP: workgroup, CHUNK };
}

/** Chunks of a row of V logits. */
export function logitChunkCount(V: number): number {
  return ceilDivide(V, CHUNK);
}

/** What decides the sizes of the sampling buffers. */
export interface SamplerSizes {
  readonly V: number;
  /** Most rows that are sampled together. */
  readonly batch: number;
  /** Sequences with a state of their own: the values that `Row.slot` may take. */
  readonly slots: number;
  /** Results that a sequence keeps before the oldest is overwritten. */
  readonly ring: number;
}

/** Byte lengths of the sampling buffers. `bias` and `mask` may be 4 bytes while no sequence uses them. */
export function samplerByteLengths({
  V,
  batch,
  slots,
  ring,
}: SamplerSizes): Readonly<
  Record<'settings' | 'counts' | 'bias' | 'mask' | 'adjusted' | 'candidates' | 'chunks' | 'results', number>
> {
  return {
    /** [slots] SamplerSettings */
    settings: slots * 48,
    /** [slots, V] u32 */
    counts: slots * V * 4,
    /** [slots, V] f32 */
    bias: slots * V * 4,
    /** [slots, ceil(V / 32)] u32 */
    mask: slots * ceilDivide(V, 32) * 4,
    /** [batch, V] f32 */
    adjusted: batch * V * 4,
    /** [batch, V] u32 */
    candidates: batch * V * 4,
    /** [batch, chunks] LogitSummary */
    chunks: batch * logitChunkCount(V) * 24,
    /** [slots, ring] of token id and log-probability */
    results: slots * ring * 8,
  };
}
