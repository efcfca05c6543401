import { describe, expect, it } from 'vitest';
import { adjustLogitsReference, argMax } from './adjust-logits.reference.ts';
import { randomFloats, randomGenerator, useDevice } from './parity.test-support.ts';
import { keptTokens, sampleTokenReference } from './sample-token.reference.ts';
import { FAULT_TOKEN } from './sampler-prelude.ts';
import { PLAIN, runSampler, seedWords, type TestSequence } from './sampler.test-support.ts';

const GREEDY = { ...PLAIN, temperature: 0 };
const WORKGROUPS = [64, 256];

/** Random token counts: some tokens of the prompt, some generated, some both. */
function randomCounts(V: number, seed: number): Uint32Array {
  const next = randomGenerator(seed);
  return Uint32Array.from({ length: V }, () => {
    const draw = next();
    const generated = draw < 0.2 ? Math.floor(draw * 50) : 0;
    return next() < 0.2 ? (0x80000000 | generated) >>> 0 : generated;
  });
}

function randomMask(V: number, seed: number): Uint32Array {
  const next = randomGenerator(seed);
  const mask = Uint32Array.from({ length: Math.ceil(V / 32) }, () => (next() * 2 ** 32) >>> 0);
  mask[0] |= 1;
  return mask;
}

/** A token for every settings variant below, on its own logits. */
function variants(V: number): TestSequence[] {
  const settings = [
    GREEDY,
    PLAIN,
    { ...PLAIN, topK: 5, temperature: 0.7 },
    { ...PLAIN, topP: 0.8, temperature: 1.3 },
    { ...PLAIN, minP: 0.05 },
    { ...PLAIN, topK: 40, topP: 0.9, minP: 0.02, seed: -7 },
    { ...PLAIN, topP: 0.6, frequencyPenalty: 0.5, presencePenalty: -0.3, repetitionPenalty: 1.2 },
    { ...GREEDY, frequencyPenalty: 0.2, repetitionPenalty: 0.8, logitBias: new Map([[0, 1]]) },
  ];
  return settings.map((one, index) => ({
    settings: { ...one, logprobs: index % 2 === 0 },
    logits: randomFloats(V, index + 1, 3),
    counts: randomCounts(V, index + 11),
    ...(one.logitBias.size > 0 ? { bias: randomFloats(V, index + 21) } : {}),
    ...(index % 3 === 1 ? { mask: randomMask(V, index + 31) } : {}),
  }));
}

function expectedTokens(sequence: TestSequence, V: number, steps: number): number[] {
  const counts = sequence.counts?.slice() ?? new Uint32Array(V);
  return Array.from({ length: steps }, (_, step) => {
    const row = { ...sequence, counts, vocabularySize: V };
    const adjusted = adjustLogitsReference(sequence.settings, row);
    const token = sampleTokenReference(adjusted, sequence.settings, seedWords(sequence.settings.seed), step);
    counts[token]!++;
    return token;
  });
}

function rawLogprob(logits: Float32Array, token: number): number {
  const best = logits.reduce((a, b) => Math.max(a, b));
  return logits[token]! - best - Math.log(logits.reduce((sum, value) => sum + Math.exp(value - best), 0));
}

describe('SampleToken', () => {
  const device = useDevice();

  for (const workgroup of WORKGROUPS) {
    for (const V of [1, 31, 320, 1000, 2048]) {
      it(`chooses the reference's tokens for every kind of settings, V ${V}, ${workgroup} threads`, async () => {
        const sequences = variants(V);
        const steps = 6;
        const run = await runSampler(device(), sequences, { V, steps, workgroup });
        expect(run.tokens).toEqual(sequences.map((sequence) => expectedTokens(sequence, V, steps)));
        sequences.forEach(({ settings, logits }, row) => {
          if (!settings.logprobs) return;
          const expected = run.tokens[row]!.map((token) => rawLogprob(logits, token));
          run.logprobs[row]!.forEach((value, i) => expect(value).toBeCloseTo(expected[i]!, 4));
        });
      });
    }
  }

  it('chooses the reference tokens at the full vocabulary', async () => {
    const V = 151552;
    const sequences = variants(V).slice(0, 6);
    const run = await runSampler(device(), sequences, { V, steps: 2 });
    expect(run.tokens).toEqual(sequences.map((sequence) => expectedTokens(sequence, V, 2)));
  });

  it('advances rows, counts and ring', async () => {
    const V = 64;
    const sequences = variants(V).slice(0, 3);
    const run = await runSampler(device(), sequences, { V, steps: 5, ring: 4 });
    sequences.forEach(({ counts }, row) => {
      const slot = sequences.length - 1 - row;
      const last = run.tokens[row]![4 % 4]!;
      const expectedRow = [10 + row + 5, 25, 35, last, 40 + row + 5, slot, 5, 0];
      expect([...run.rows.subarray(row * 8, row * 8 + 8)]).toEqual(expectedRow);
      const tokens = expectedTokens(sequences[row]!, V, 5);
      const expectedCounts = counts!.slice();
      for (const token of tokens) expectedCounts[token]!++;
      expect([...run.counts.subarray(slot * V, (slot + 1) * V)]).toEqual([...expectedCounts]);
      expect(run.tokens[row]).toEqual([tokens[4], tokens[1], tokens[2], tokens[3]]);
    });
  });

  it('does not count past 65535 or touch the prompt bit', async () => {
    const logits = Float32Array.of(0, 1);
    const counts = Uint32Array.of(0, 0x8000ffff);
    const run = await runSampler(device(), [{ settings: GREEDY, logits, counts }], { V: 2 });
    expect([...run.counts]).toEqual([0, 0x8000ffff]);
  });

  it.each(WORKGROUPS)('takes the lowest id among equals, %i threads', async (workgroup) => {
    const V = 3000;
    const ties = [
      [2999, 17, 18, 2000],
      [1024, 2048],
      // Neither order of invocations nor of their groups may decide.
      [33, 18],
      [2081, 2066],
      [0, 2999],
    ];
    const sequences = ties.map((ids) => {
      const logits = randomFloats(V, 1);
      for (const id of ids) logits[id] = 50;
      return { settings: GREEDY, logits };
    });
    const run = await runSampler(device(), sequences, { V, workgroup });
    expect(run.tokens).toEqual([[17], [1024], [18], [2066], [0]]);
  });

  it('chooses the only allowed token, by -infinity or by mask, greedy or not', async () => {
    const V = 2100;
    const mask = new Uint32Array(Math.ceil(V / 32));
    mask[65] = 1 << 3;
    const logits = new Float32Array(V).fill(-Infinity);
    logits[1500] = -80;
    const truncated = { ...PLAIN, topK: 3, topP: 0.5, minP: 0.1 };
    const sequences = [
      { settings: GREEDY, logits },
      { settings: { ...PLAIN, logprobs: true }, logits },
      { settings: truncated, logits },
      { settings: PLAIN, logits: randomFloats(V, 3), mask },
      { settings: truncated, logits: randomFloats(V, 4), mask },
    ];
    const run = await runSampler(device(), sequences, { V });
    expect(run.tokens).toEqual([[1500], [1500], [1500], [2083], [2083]]);
    expect(run.logprobs[1]![0]).toBe(0);
  });

  it('never samples padding rows of the head', async () => {
    const V = 320;
    const logits = new Float32Array(V);
    logits.fill(9, 300);
    const sequences = [
      { settings: GREEDY, logits },
      { settings: PLAIN, logits },
    ];
    const run = await runSampler(device(), sequences, { V, vocabularySize: 300, steps: 50 });
    expect(Math.max(...run.tokens.flat())).toBeLessThan(300);
  });

  it.each(WORKGROUPS)(
    'reports NaN, infinity and a row without any allowed token as a fault, %i threads',
    async (workgroup) => {
      const V = 1500;
      const faulty = (value: number, at: number): Float32Array => {
        const logits = randomFloats(V, 5);
        logits[at] = value;
        return logits;
      };
      const sequences = [
        { settings: GREEDY, logits: faulty(NaN, 1400) },
        { settings: { ...PLAIN, topK: 10 }, logits: faulty(NaN, 0) },
        { settings: PLAIN, logits: faulty(Infinity, 700) },
        { settings: { ...PLAIN, topP: 0.9 }, logits: new Float32Array(V).fill(-Infinity) },
        { settings: GREEDY, logits: randomFloats(V, 6), mask: new Uint32Array(47) },
        { settings: GREEDY, logits: randomFloats(V, 6) },
      ];
      const run = await runSampler(device(), sequences, { V, workgroup });
      const healthy = argMax(sequences[5]!.logits);
      expect(run.tokens.flat()).toEqual([...Array<number>(5).fill(FAULT_TOKEN), healthy]);
      // The next step must find a token it can look up.
      expect(run.rows[3]).toBe(0);
    },
  );

  it('is greedy at temperature 0, at top_k 1 and at top_p 0, and near it at a tiny temperature', async () => {
    const V = 1000;
    const logits = randomFloats(V, 8, 4);
    const settings = [
      GREEDY,
      { ...PLAIN, topK: 1 },
      { ...PLAIN, topP: 0 },
      { ...PLAIN, temperature: 1e-4 },
      { ...PLAIN, temperature: 1e-4, topP: 0.5, topK: 7 },
      { ...PLAIN, temperature: 2, topP: 1e-6 },
      { ...PLAIN, temperature: 2, minP: 1 },
    ];
    const run = await runSampler(
      device(),
      settings.map((one) => ({ settings: one, logits })),
      { V, steps: 20 },
    );
    expect(new Set(run.tokens.flat())).toEqual(new Set([argMax(logits)]));
  });

  it('gives the same text for the same seed, in any row and with any neighbours', async () => {
    const V = 2048;
    const mine = { settings: { ...PLAIN, topP: 0.95, seed: 42 }, logits: randomFloats(V, 9, 2) };
    const others = variants(V);
    const options = { V, steps: 30 };
    const alone = await runSampler(device(), [mine], options);
    const again = await runSampler(device(), [mine], { ...options, workgroup: 256 });
    const among = await runSampler(device(), [...others.slice(0, 5), mine, others[6]!], options);
    expect(again.tokens[0]).toEqual(alone.tokens[0]);
    expect(among.tokens[5]).toEqual(alone.tokens[0]);
    const reseeded = { ...mine, settings: { ...mine.settings, seed: 43 } };
    const other = await runSampler(device(), [reseeded], options);
    expect(other.tokens[0]).not.toEqual(alone.tokens[0]);
  });

  it('finds the cut among thousands of almost equal tokens', async () => {
    const V = 4000;
    const logits = Float32Array.from({ length: V }, (_, id) => ((id * 1237) % V) * 1e-5);
    const settings = [
      { ...PLAIN, topP: 0.25 },
      { ...PLAIN, topP: 0.5 },
      { ...PLAIN, topK: 700 },
      { ...PLAIN, topK: 700, topP: 0.5 },
    ];
    const sequences = settings.map((one, index) => ({ settings: { ...one, seed: index }, logits }));
    const steps = 40;
    const run = await runSampler(device(), sequences, { V, steps });
    expect(run.tokens).toEqual(sequences.map((sequence) => expectedTokens(sequence, V, steps)));
    const ranks = run.tokens.map((tokens) => tokens.map((token) => V - 1 - ((token * 1237) % V)));
    [1000, 2000, 700, 350].forEach((kept, row) => {
      expect(Math.max(...ranks[row]!)).toBeLessThan(kept + 10);
      expect(Math.max(...ranks[row]!)).toBeGreaterThan(kept * 0.8);
    });
  });

  it('draws from the softmax of what is kept', async () => {
    const V = 20;
    const steps = 3000;
    const settings = [
      PLAIN,
      { ...PLAIN, temperature: 2 },
      { ...PLAIN, topK: 6 },
      { ...PLAIN, topP: 0.85 },
      { ...PLAIN, minP: 0.1 },
      { ...PLAIN, topK: 12, topP: 0.95, minP: 0.3, temperature: 1.5 },
    ];
    const logits = randomFloats(V, 12, 1.2);
    const sequences = settings.map((one, index) => ({ settings: { ...one, seed: 2024 + index }, logits }));
    const run = await runSampler(device(), sequences, { V, steps });
    sequences.forEach((sequence, row) => {
      const counts = new Uint32Array(V);
      const adjusted = adjustLogitsReference(sequence.settings, { ...sequence, counts, vocabularySize: V });
      expectFair(run.tokens[row]!, adjusted, keptTokens(adjusted, sequence.settings));
    });
  });
});

/** Pearson's test that the draws follow the softmax of the kept tokens, and that no other token was drawn. */
function expectFair(draws: readonly number[], adjusted: Float32Array, kept: readonly number[]): void {
  expect(draws.filter((token) => !kept.includes(token))).toEqual([]);
  const weights = kept.map((id) => Math.exp(adjusted[id]!));
  const total = weights.reduce((a, b) => a + b);
  const chiSquare = kept.reduce((sum, id, index) => {
    const expected = (weights[index]! / total) * draws.length;
    const seen = draws.filter((token) => token === id).length;
    return sum + (seen - expected) ** 2 / expected;
  }, 0);
  // Mean of the distribution plus four deviations: one fair sampler in some thousand fails.
  const freedom = kept.length - 1;
  expect(chiSquare).toBeLessThan(freedom + 4 * Math.sqrt(2 * freedom));
}
