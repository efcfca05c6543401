import { describe, expect, it } from 'vitest';
import { expectInt8Close, INT8_TARGET, int8Target, randomGroups } from './int8-parity.test-support.ts';
import { randomFloats, ref, runKernel, useDevice } from './parity.test-support.ts';
import { quantizeActivations } from './quantize-activations.ts';
import { quantizeActivationsReference } from './quantize-activations.reference.ts';

describe('QuantizeActivations', () => {
  const device = useDevice();

  async function quantize(x: Float32Array<ArrayBuffer>, K: number): Promise<Record<string, ArrayBuffer>> {
    const call = quantizeActivations({ label: 'test', rows: 'tokens', K, x: ref('x'), y: INT8_TARGET });
    const arrays = { x, ...int8Target(x.length) };
    return runKernel(device(), call, arrays, { rows: x.length / K, outputs: ['codes', 'totals'] });
  }

  // 16 groups fill a workgroup.
  const cases = [
    { rows: 1, K: 32 },
    { rows: 8, K: 96 },
    { rows: 3, K: 704 },
    { rows: 2, K: 65 * 32 },
  ];
  for (const { rows, K } of cases) {
    it(`matches the reference for ${rows}x${K}`, async () => {
      const x = randomGroups(rows * K, 1);
      expectInt8Close(await quantize(x, K), { exact: x, rounded: quantizeActivationsReference(x), K });
    });
  }

  for (const scale of [1e-30, 1e30]) {
    it(`matches the reference for values around ${scale}`, async () => {
      const x = randomFloats(64, 2, scale);
      expectInt8Close(await quantize(x, 64), { exact: x, rounded: quantizeActivationsReference(x) });
    });
  }

  it('gives zeros for a group of zeros or of magnitudes that have no scale', async () => {
    const x = Float32Array.from({ length: 4 * 32 }, (_, i) => [0, -0, 1e-38, -1e-44][Math.floor(i / 32)]);
    const { codes, totals } = await quantize(x, 32);
    expect(new Uint32Array(codes, 0, 4 * 16)).toEqual(new Uint32Array(4 * 16));
    for (const [scale, sum] of pairs(new Float32Array(totals, 0, 4 * 2))) {
      expect(scale).toBeLessThan(1e-36);
      expect(sum).toBe(0);
    }
  });

  it('leaves digits that are exact as they are', async () => {
    // Groups whose high digits count eighths.
    const x = Float32Array.from({ length: 96 }, (_, i) => {
      return (i % 32 === 0 ? 127 : (i % 5) - 2 + ((i * 37) % 127) / 256) / 8;
    });
    const { codes, totals } = await quantize(x, 96);
    const digits = new Int8Array(codes);
    // The values of the second group: a plane is 48 bytes, of which a group has 16.
    const places = [16, 17, 18, 19, 48 + 16, 48 + 17];
    const expected = [0, 2, 4, 6, 1, 3].map((k) => 32 + k);
    expect(places.map((place) => digits[place])).toEqual(
      expected.map((i) => (i % 32 === 0 ? 127 : (i % 5) - 2)),
    );
    expect(places.map((place) => digits[96 + place])).toEqual(
      expected.map((i) => (i % 32 === 0 ? 0 : (i * 37) % 127)),
    );
    expect(new Float32Array(totals)[2]).toBe(1 / 8 / 256);
  });

  it.each([NaN, Infinity, -Infinity])('marks the group that holds %f, and no other', async (fault) => {
    const x = randomFloats(96, 3);
    x[32 + 17] = fault;
    const { totals } = await quantize(x, 96);
    const scales = [...pairs(new Float32Array(totals))].map(([scale]) => Number.isFinite(scale));
    expect(scales.slice(0, 3)).toEqual([true, false, true]);
  });
});

function* pairs(totals: Float32Array): Generator<readonly [number, number]> {
  for (let i = 0; i < totals.length; i += 2) yield [totals[i], totals[i + 1]];
}
