import { describe, expect, it } from 'vitest';
import type { LanguageModel } from '../model/language-model.ts';
import type { PrefillOptions, Sequence } from '../model/text-model.ts';
import { AGENT_CONTEXT, benchAgent, SCREENSHOT } from './bench.ts';

/** A prompt that a model was asked to compute. */
interface Asked {
  readonly computed: number;
  readonly total: number;
  readonly imageStart: number | undefined;
  readonly isAhead: boolean | undefined;
}

/** A model that computes nothing and notes what it is asked for. */
function createNotingModel(asked: Asked[]): LanguageModel {
  return {
    config: { text: { V: 151_552 }, vision: { inChannels: 1, patchSize: 1 } },
    device: { idle: async () => {}, createRecorder: () => ({}) },
    sampler: {
      start: () => {},
      prepareSample: async () => () => {},
      submitAndRead: async () => ({ token: () => ({ id: 0, logprob: 0 }) }),
    },
    vision: { encode: async () => ({ destroy: () => {} }) },
    text: {
      writeDecodeRow: () => {},
      prefill: async ({ tokenIds, images }: Sequence, { cachedCount, isAhead }: PrefillOptions) => {
        const computed = tokenIds.length - cachedCount;
        asked.push({ computed, total: tokenIds.length, imageStart: images[0]?.start, isAhead });
      },
    },
  } as unknown as LanguageModel;
}

describe('benchAgent', () => {
  it('computes in each step what an agent computes in it', async () => {
    const asked: Asked[] = [];
    const times = await benchAgent(createNotingModel(asked), 1);
    expect(asked).toHaveLength(10);
    const [one, first, second, ahead, afterAhead] = asked.slice(5);
    expect(one?.computed).toBe(6 + 3108 + 34);
    expect(first).toMatchObject({ computed: 4882, total: 4882, imageStart: 1740 });
    expect(second).toMatchObject({ computed: 3321, total: 5061, imageStart: 1919 });
    // The new screenshot begins where the texts end that were computed before it.
    expect(ahead).toEqual({ computed: 179, total: 1919, imageStart: undefined, isAhead: true });
    expect(afterAhead).toMatchObject({ computed: SCREENSHOT.tokens + 34, total: 5061, imageStart: 1919 });
    expect(times.prefillAheadTokens).toBe(179);
    expect(Math.max(...asked.map(({ total }) => total))).toBeLessThan(AGENT_CONTEXT);
  });
});
