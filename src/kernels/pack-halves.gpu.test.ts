import { describe, expect, it } from 'vitest';
import { packHalves } from './pack-halves.ts';
import { packHalvesReference } from './pack-halves.reference.ts';
import { randomFloats, ref, runKernel, useDevice } from './parity.test-support.ts';

/** Bits that no value of the test has. */
const UNTOUCHED = 0x7c017c01;

describe('PackHalves', () => {
  const device = useDevice();
  it('gives the nearest f16 of each value, and its largest for what it cannot hold', async () => {
    const [rows, K] = [3, 520];
    const x = randomFloats(rows * K, 1).map((value, i) => value * 10 ** ((i % 9) - 4));
    x.set([65504, -65504, 65519, 1e9, -1e30, 2 ** -24, 0, -0], K);
    const codes = new Uint32Array((rows * K) / 2 + 4).fill(UNTOUCHED);
    const call = packHalves({ label: 'test', rows: 'tokens', K, x: ref('x'), codes: ref('codes') });
    const results = await runKernel(device(), call, { x, codes }, { rows, outputs: ['codes'] });
    const actual = new Uint16Array(results.codes);
    const expected = packHalvesReference(x);
    // Vulkan lets a conversion round to either neighbour; the bits of neighbours differ by one.
    const worst = expected.reduce((most, bits, i) => Math.max(most, Math.abs(bits - actual[i])), 0);
    expect(worst).toBeLessThanOrEqual(1);
    expect([...actual.subarray(K, K + 5)]).toEqual([0x7bff, 0xfbff, 0x7bff, 0x7bff, 0xfbff]);
    expect([...new Uint32Array(results.codes).subarray(-4)]).toEqual(
      Array.from({ length: 4 }, () => UNTOUCHED),
    );
  });

  it('keeps a NaN, so that damaged weights are noticed', async () => {
    const x = new Float32Array(8).fill(1);
    new Uint32Array(x.buffer)[3] = 0x7fc00000;
    const codes = new Uint32Array(4);
    const call = packHalves({ label: 'test', rows: 'tokens', K: 8, x: ref('x'), codes: ref('codes') });
    const results = await runKernel(device(), call, { x, codes }, { outputs: ['codes'] });
    const isNaNBits = (bits: number): boolean => (bits & 0x7fff) > 0x7c00;
    expect([...new Uint16Array(results.codes)].map(isNaNBits)).toEqual(
      Array.from({ length: 8 }, (_, i) => i === 3),
    );
  });
});
