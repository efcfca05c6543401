import { encodeSettings } from '../sampling/encode-settings.ts';
import { PLAIN_DEFAULTS } from '../sampling/generation-config.ts';
import { parseSampling, type SamplingRequest } from '../sampling/settings.ts';
import type { SequenceRequest } from './active-sequence.ts';
import type { LanguageModel } from './language-model.ts';
import type { Scheduler } from './scheduler.ts';
import type { SampledToken } from './token-sampler.ts';

/** Vocabulary of the reference model `glm4v-a`, the smallest one. */
const SMALL_V = 320;

/** A request of a text prompt; greedy and of 8 tokens unless it says otherwise. */
export function textRequest(
  tokenIds: readonly number[],
  sampling: SamplingRequest = { temperature: 0 },
  overrides: Partial<SequenceRequest> & { readonly V?: number } = {},
): SequenceRequest {
  const { V = SMALL_V, ...rest } = overrides;
  const settings = parseSampling(sampling, { defaults: PLAIN_DEFAULTS, vocabularySize: V });
  const hasMask = rest.constraint !== undefined;
  return {
    tokenIds,
    positions: Uint32Array.from(tokenIds.flatMap((_, index) => [index, index, index])),
    keys: tokenIds,
    ropeDelta: 0,
    sampler: { settings: encodeSettings(settings, { vocabularySize: V, hasMask }) },
    maxTokens: 8,
    topCount: settings.topLogprobs,
    ...rest,
  };
}

/** Ids spread over the vocabulary; other seeds share no beginning. */
export function randomIds(count: number, seed: number, V = SMALL_V): number[] {
  return Array.from({ length: count }, (_, index) => ((index + 1) * 7919 + seed * 104729) % (V - 20));
}

/**
 * Compiles the steps of up to so many sequences. Schedulers compile them in the background and share narrower ones
 * meanwhile, in which a fast GPU is done with a test's few tokens before they are there.
 */
export async function compileSteps({ text, sampler }: LanguageModel, most: number): Promise<void> {
  for (let columns = 2; columns <= most; columns++) {
    await Promise.all([text.prepareDecode(columns), sampler.prepareSample(columns)]);
  }
}

export async function collectTokens(tokens: AsyncGenerator<SampledToken, unknown>): Promise<SampledToken[]> {
  const list: SampledToken[] = [];
  for await (const token of tokens) list.push(token);
  return list;
}

export async function generateIds(scheduler: Scheduler, request: SequenceRequest): Promise<number[]> {
  return (await collectTokens(scheduler.generate(request))).map(({ id }) => id);
}
