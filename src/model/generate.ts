import type { LanguageModel } from './language-model.ts';
import type { Sequence } from './text-model.ts';
import type { TokenConstraint } from './token-constraint.ts';
import type { SampledToken, SamplerState } from './token-sampler.ts';

/** One answer to generate. */
export interface GenerateRequest {
  readonly slot: number;
  readonly sequence: Sequence;
  /** Position of a later token minus its index in the sequence. */
  readonly ropeDelta: number;
  /** Tokens of the sequence that the slot's cache already holds; fewer than all. */
  readonly cachedCount: number;
  readonly sampler: SamplerState;
  readonly maxTokens: number;
  /** Tokens to rank at each place of the answer, at most `MAX_RANKED`; 0 ranks none. */
  readonly topCount: number;
  /** Decode steps that are submitted before the first one's token is read. */
  readonly stepsInFlight: number;
  /** Which tokens may come; the sampler's settings must say that there is a mask. */
  readonly constraint?: TokenConstraint | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onPrefill?: (done: number, total: number) => void;
  /** Called before the prefill's last logits are sampled, for prompt log-probabilities. */
  readonly afterChunk?: (from: number, to: number) => Promise<void>;
}

/**
 * Prefills a sequence and yields sampled tokens. Token ids go from the sampler to the next step on the
 * device; the host reads them late, so that the device never waits for it. Leaving the loop stops the work:
 * steps already submitted write only beyond the tokens that were yielded.
 */
export async function* generate(
  model: LanguageModel,
  request: GenerateRequest,
): AsyncGenerator<SampledToken> {
  const { slot, sequence, ropeDelta, cachedCount, signal, onPrefill, afterChunk } = request;
  const { text, sampler } = model;
  await sampler.start(slot, request.sampler);
  await text.prefill(sequence, {
    slot,
    cachedCount,
    signal,
    ...(onPrefill && { onChunk: onPrefill }),
    ...(afterChunk && { afterChunk }),
  });
  const last = sequence.tokenIds.length - 1;
  const place = last + ropeDelta;
  // The sampler moves the row on by one token and puts the chosen id in.
  text.writeDecodeRow(0, { position: [place, place, place], token: 0, cacheIndex: last, slot, generated: 0 });
  yield* decode(model, request);
}

async function* decode(model: LanguageModel, request: GenerateRequest): AsyncGenerator<SampledToken> {
  const { slot, sequence, maxTokens, topCount, constraint, signal } = request;
  const stepsInFlight = constraint ? 1 : request.stepsInFlight;
  const [recordDecode, recordSample, recordRanking] = await Promise.all([
    model.text.prepareDecode(1),
    model.sampler.prepareSample(1),
    topCount > 0 ? model.ranker.prepareStep(1, topCount) : undefined,
  ]);
  // The last token needs no place in the cache: nothing is computed from it.
  const room = model.options.context - sequence.tokenIds.length + 1;
  const count = Math.min(maxTokens, room);
  const pending: Promise<SampledToken>[] = [];
  const issue = async (step: number): Promise<void> => {
    if (constraint) model.sampler.writeMask(slot, await constraint.nextMask());
    const recorder = model.device.createRecorder(`decode ${step}`);
    // The first token is sampled from the prefill's logits.
    if (step > 0) recordDecode(recorder);
    recordSample(recorder);
    recordRanking?.(recorder);
    recorder.submit();
    const token = readToken(model, slot, step, topCount);
    // It is awaited later, when the reader asks; a fault until then must not count as unhandled.
    token.catch(() => {});
    pending.push(token);
  };
  try {
    for (let index = 0; index < count; index++) {
      for (let step = index + pending.length; step < Math.min(count, index + stepsInFlight); step++)
        await issue(step);
      signal?.throwIfAborted();
      const token = await (pending.shift() as Promise<SampledToken>);
      constraint?.accept(token.id);
      yield token;
    }
  } finally {
    // Surplus steps end before anybody else uses the slot; their outcome is of no interest.
    await Promise.allSettled(pending);
  }
}

async function readToken(
  { sampler, ranker }: LanguageModel,
  slot: number,
  index: number,
  topCount: number,
): Promise<SampledToken> {
  if (topCount === 0) return sampler.read(slot, index);
  const [token, top] = await Promise.all([sampler.read(slot, index), ranker.readStep(slot, index, topCount)]);
  return { ...token, top };
}
