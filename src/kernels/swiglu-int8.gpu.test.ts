import { describe, expect, it } from 'vitest';
import { expectInt8Close, INT8_TARGET, int8Target } from './int8-parity.test-support.ts';
import { randomFloats, ref, runKernel, useDevice } from './parity.test-support.ts';
import { swigluInt8 } from './swiglu-int8.ts';
import { swigluInt8Reference } from './swiglu-int8.reference.ts';
import { swigluReference } from './swiglu.reference.ts';

describe('SwigluInt8', () => {
  const device = useDevice();
  const cases = [
    { rows: 1, F: 32, scale: 1 },
    { rows: 8, F: 96, scale: 1 },
    // A workgroup holds 16 groups.
    { rows: 2, F: 17 * 32, scale: 1 },
    { rows: 1, F: 64 * 32, scale: 1 },
    // Gates beyond +-88 overflow exp in f32.
    { rows: 3, F: 704, scale: 100 },
    { rows: 1, F: 64, scale: 0 },
  ];
  for (const { rows, F, scale } of cases) {
    it(`matches the reference for ${rows}x${F} of ${scale}`, async () => {
      const x = randomFloats(rows * 2 * F, 1, scale);
      const call = swigluInt8({ label: 'test', rows: 'tokens', F, x: ref('x'), y: INT8_TARGET });
      const arrays = { x, ...int8Target(rows * F) };
      const results = await runKernel(device(), call, arrays, { rows, outputs: ['codes', 'totals'] });
      const [exact, rounded] = [swigluReference(x, F), swigluInt8Reference(x, F)];
      expectInt8Close(results, { exact, rounded, inputError: 1e-6, K: F });
    });
  }

  it.each([NaN, Infinity])('marks the group that holds %f, and no other', async (fault) => {
    const F = 96;
    const x = randomFloats(2 * F, 1);
    x[32 + 17] = fault;
    const call = swigluInt8({ label: 'test', rows: 'tokens', F, x: ref('x'), y: INT8_TARGET });
    const { totals } = await runKernel(device(), call, { x, ...int8Target(F) }, { outputs: ['totals'] });
    const isFinite = Array.from(new Float32Array(totals), (value) => Number.isFinite(value));
    // Scale and sum of each group.
    expect(isFinite.slice(0, 6)).toEqual([true, true, false, false, true, true]);
  });
});
