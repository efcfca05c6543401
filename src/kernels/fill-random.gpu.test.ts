import { describe, expect, it } from 'vitest';
import { fillRandom } from './fill-random.ts';
import { fillRandomReference } from './fill-random.reference.ts';
import { ref, runKernel, useDevice } from './parity.test-support.ts';

describe('FillRandom', () => {
  const device = useDevice();

  it.each([1, 255, 1000])('matches the reference for %d words', async (count) => {
    const options = { count, seed: 7, keep: 0x03ff03ff, force: 0x1c001c00 };
    const call = fillRandom({ label: 'test', ...options, words: ref('words') });
    const results = await runKernel(
      device(),
      call,
      { words: new Uint32Array(count) },
      { outputs: ['words'] },
    );
    const expected = fillRandomReference(count, options.seed, options.keep, options.force);
    expect([...new Uint32Array(results.words)]).toEqual([...expected]);
  });
});
