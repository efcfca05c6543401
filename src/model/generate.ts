import type { LanguageModel } from './language-model.ts';
import type { Sequence } from './text-model.ts';
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
  /** Decode steps that are submitted before the first one's token is read. */
  readonly stepsInFlight: number;
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
  const { slot, sequence, maxTokens, stepsInFlight, signal } = request;
  const [recordDecode, recordSample] = await Promise.all([
    model.text.prepareDecode(1),
    model.sampler.prepareSample(1),
  ]);
  // The last token needs no place in the cache: nothing is computed from it.
  const room = model.options.context - sequence.tokenIds.length + 1;
  const count = Math.min(maxTokens, room);
  const pending: Promise<SampledToken>[] = [];
  let issued = 0;
  const issue = (): void => {
    const recorder = model.device.createRecorder(`decode ${issued}`);
    // The first token is sampled from the prefill's logits.
    if (issued > 0) recordDecode(recorder);
    recordSample(recorder);
    recorder.submit();
    pending.push(model.sampler.read(slot, issued));
    issued++;
  };
  try {
    for (let index = 0; index < count; index++) {
      while (issued < count && pending.length < stepsInFlight) issue();
      signal?.throwIfAborted();
      yield await (pending.shift() as Promise<SampledToken>);
    }
  } finally {
    // Surplus steps end before anybody else uses the slot; their outcome is of no interest.
    await Promise.allSettled(pending);
  }
}
