import { describe, expect, it } from 'vitest';
import { layerNormGelu } from './layer-norm-gelu.ts';
import { geluReference, layerNormGeluReference } from './layer-norm-gelu.reference.ts';
import type { Reduction } from './kernel.ts';
import { expectClose, randomFloats, ref, runKernel, useDevice } from './parity.test-support.ts';

describe('LayerNormGelu', () => {
  const device = useDevice();

  async function run(
    arrays: Record<'x' | 'weight' | 'bias', Float32Array<ArrayBuffer>>,
    { C, reduction, workgroup }: { C: number; reduction: Reduction; workgroup: number },
  ): Promise<Float32Array> {
    const call = layerNormGelu({
      label: 'test',
      rows: 'mergedPatches',
      C,
      epsilon: 1e-5,
      reduction,
      workgroup,
      x: ref('x'),
      weight: ref('weight'),
      bias: ref('bias'),
    });
    const results = await runKernel(device(), call, arrays, { rows: arrays.x.length / C, outputs: ['x'] });
    return new Float32Array(results.x);
  }

  const cases = [
    { rows: 1, C: 4, workgroup: 32 },
    { rows: 3, C: 260, workgroup: 32 },
    { rows: 2, C: 1028, workgroup: 256 },
  ];
  for (const reduction of ['workgroup', 'subgroup'] as const) {
    for (const { rows, C, workgroup } of cases) {
      it(`matches the reference for ${rows}x${C}, ${workgroup} threads, ${reduction}`, async () => {
        // A mean far from zero, which a variance by E[x^2] - E[x]^2 would not survive.
        const x = randomFloats(rows * C, 1).map((value) => value + 50);
        const weight = randomFloats(C, 2, 2);
        const bias = randomFloats(C, 3);
        const actual = await run({ x, weight, bias }, { C, reduction, workgroup });
        expectClose(actual, layerNormGeluReference(x, weight, bias, { C, epsilon: 1e-5 }), 5e-6);
      });
    }
  }

  it('is exact in both tails, not only near the largest value', async () => {
    // A weight of zero leaves the bias: the argument of GELU.
    const bias = Float32Array.from({ length: 256 }, (_, i) => (i - 128) / 20);
    const zeros = new Float32Array(256);
    const actual = await run(
      { x: zeros.slice(), weight: zeros, bias },
      { C: 256, reduction: 'workgroup', workgroup: 64 },
    );
    bias.forEach((value, i) => {
      const expected = geluReference(value);
      const error = Math.abs(actual[i] - expected);
      expect(error, `gelu(${value}): expected ${expected}, actual ${actual[i]}`).toBeLessThanOrEqual(
        1e-5 * Math.abs(expected),
      );
    });
  });
});
