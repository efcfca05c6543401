import { describe, expect, it } from 'vitest';
import { adjustLogitsReference } from './adjust-logits.reference.ts';
import { gumbelNoiseReference } from './gumbel-noise.reference.ts';
import { keptTokens } from './sample-token.reference.ts';

/** Logits without ties: transformers keeps some of the tokens tied at a top_p cut, we keep all. */
const LOGITS = Float32Array.from([
  -0.153, 0.72, -1.564, 0.143, 1.33, -0.574, 3.241, -3.193, -0.103, -0.612, 0.497, -0.445, 1.826, 0.409,
  1.148, 0.833,
]);

describe('keptTokens', () => {
  // What transformers 5's TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper and MinPLogitsWarper leave.
  it.each([
    { temperature: 1, topK: 5, topP: 1, minP: 0, kept: [4, 6, 12, 14, 15] },
    { temperature: 1, topK: 0, topP: 0.7, minP: 0, kept: [4, 6, 12, 14] },
    { temperature: 0.7, topK: 0, topP: 0.9, minP: 0, kept: [4, 6, 12, 14, 15] },
    { temperature: 1, topK: 0, topP: 1, minP: 0.1, kept: [4, 6, 12, 14] },
    { temperature: 1.5, topK: 8, topP: 0.8, minP: 0, kept: [4, 6, 12, 14, 15] },
    { temperature: 1, topK: 6, topP: 0.9, minP: 0.2, kept: [6, 12] },
    { temperature: 2, topK: 0, topP: 0.3, minP: 0.05, kept: [6, 12] },
    { temperature: 1, topK: 3, topP: 0.5, minP: 0, kept: [6] },
    { temperature: 1, topK: 0, topP: 0.0001, minP: 0, kept: [6] },
    { temperature: 2, topK: 10, topP: 0.95, minP: 0.25, kept: [1, 4, 6, 10, 12, 14, 15] },
    {
      temperature: 1,
      topK: 100,
      topP: 0.99,
      minP: 0,
      kept: [0, 1, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15],
    },
  ])('keeps the tokens that transformers keeps at %j', ({ kept, temperature, ...cuts }) => {
    const adjusted = LOGITS.map((value) => value / temperature);
    expect(keptTokens(adjusted, cuts).toSorted((a, b) => a - b)).toEqual(kept);
  });

  it('keeps tied tokens together', () => {
    const tied = Float32Array.of(1, 3, 2, 2, 2);
    expect(keptTokens(tied, { topK: 2, topP: 1, minP: 0 }).toSorted()).toEqual([1, 2, 3, 4]);
    expect(keptTokens(tied, { topK: 0, topP: 0.6, minP: 0 }).toSorted()).toEqual([1, 2, 3, 4]);
  });
});

describe('adjustLogitsReference', () => {
  it('repeats as transformers and counts as OpenAI', () => {
    const sampler = {
      temperature: 1,
      topP: 1,
      topK: 0,
      minP: 0,
      frequencyPenalty: 0,
      presencePenalty: 0,
      repetitionPenalty: 1.3,
    };
    const row = { logits: Float32Array.of(1, -2, 3, 0.5), vocabularySize: 4 };
    // Ids 0 and 1 stand in the prompt, id 3 was generated twice.
    const counts = Uint32Array.of(0x80000000, 0x80000000, 0, 2);
    // RepetitionPenaltyLogitsProcessor(1.3) for ids 0, 1, 3
    const repeated = adjustLogitsReference(sampler, { ...row, counts });
    [0.7692, -2.6, 3, 0.3846].forEach((value, id) => expect(repeated[id]).toBeCloseTo(value, 4));
    // mu[j] - c[j] * alpha_frequency - (c[j] > 0) * alpha_presence; the prompt does not count.
    const counting = { ...sampler, repetitionPenalty: 1, frequencyPenalty: 0.25, presencePenalty: 0.5 };
    expect([...adjustLogitsReference(counting, { ...row, counts })]).toEqual([1, -2, 3, -0.5]);
  });
});

describe('gumbelNoiseReference', () => {
  it('has the mean, the variance and the independence of Gumbel noise', () => {
    const count = 100_000;
    const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b) / values.length;
    const along = (pick: (index: number) => number): readonly number[] =>
      Array.from({ length: count }, (_, i) => pick(i));
    const series = [
      along((i) => gumbelNoiseReference([1, 0], 0, i)),
      along((i) => gumbelNoiseReference([1, 0], i, 0)),
      along((i) => gumbelNoiseReference([i, 0], 5, 9)),
      along((i) => gumbelNoiseReference([1, 0], i % 300, Math.floor(i / 300))),
    ];
    for (const values of series) {
      const average = mean(values);
      const deviations = values.map((value) => value - average);
      expect(average).toBeCloseTo(0.5772, 1.7);
      expect(mean(deviations.map((value) => value ** 2))).toBeCloseTo(Math.PI ** 2 / 6, 1);
      const neighbours = deviations.slice(1).map((value, i) => value * deviations[i]!);
      expect(Math.abs(mean(neighbours))).toBeLessThan(0.025);
    }
  });
});
