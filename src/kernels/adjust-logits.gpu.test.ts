import { describe, expect, it } from 'vitest';
import { adjustLogitsReference } from './adjust-logits.reference.ts';
import { expectClose, randomFloats, randomGenerator, useDevice } from './parity.test-support.ts';
import { PLAIN, runSampler } from './sampler.test-support.ts';

/** Truncating settings, because only they have the adjusted logits written. */
const WRITTEN = { ...PLAIN, topK: 5 };

describe('AdjustLogits', () => {
  const device = useDevice();
  const cases = [
    { name: 'temperature', settings: { ...WRITTEN, temperature: 0.3 } },
    { name: 'frequency penalty', settings: { ...WRITTEN, frequencyPenalty: 0.7 } },
    { name: 'presence penalty', settings: { ...WRITTEN, presencePenalty: 1.5 } },
    { name: 'negative penalties', settings: { ...WRITTEN, frequencyPenalty: -0.1, presencePenalty: -2 } },
    { name: 'repetition penalty', settings: { ...WRITTEN, repetitionPenalty: 1.3 } },
    { name: 'bias', settings: { ...WRITTEN, logitBias: new Map([[1, 2]]) } },
    { name: 'mask', settings: WRITTEN, hasMask: true },
    {
      name: 'everything',
      settings: {
        ...WRITTEN,
        temperature: 1.7,
        frequencyPenalty: 0.2,
        presencePenalty: 0.4,
        repetitionPenalty: 0.9,
        logitBias: new Map([[1, 2]]),
      },
      hasMask: true,
    },
  ];

  it.each([1, 31, 1000, 2050])('matches the reference for each setting in a batch, V %i', async (V) => {
    const next = randomGenerator(V);
    const words = (length: number): Uint32Array =>
      Uint32Array.from({ length }, () => Math.floor(next() * 2 ** 32));
    const sequences = cases.map(({ settings, hasMask }, row) => ({
      settings,
      logits: randomFloats(V, row + 1, 4),
      // Counts up to 7, with and without the prompt's bit.
      counts: words(V).map((word) => (word & 0x80000007) >>> 0),
      bias: randomFloats(V, row + 50, 10),
      ...(hasMask ? { mask: words(Math.ceil(V / 32)).map((word) => (word | 1) >>> 0) } : {}),
    }));
    const vocabularySize = Math.max(1, V - 20);
    const run = await runSampler(device(), sequences, { V, vocabularySize });
    sequences.forEach((sequence, row) => {
      const bias = sequence.settings.logitBias.size > 0 ? sequence.bias : undefined;
      const expected = adjustLogitsReference(sequence.settings, { ...sequence, bias, vocabularySize });
      const actual = run.adjusted.slice(row * V, (row + 1) * V);
      const banned = (values: Float32Array, least: number): number[] =>
        [...values.keys()].filter((id) => values[id]! <= least);
      expect(banned(actual, -3e38)).toEqual(banned(expected, -Infinity));
      const finite = (values: Float32Array): Float32Array =>
        values.filter((_, id) => expected[id]! > -Infinity);
      expectClose(finite(actual), finite(expected), 1e-6);
    });
  });
});
