import { describe, it } from 'vitest';
import { expectInt8Close, INT8_TARGET, int8Target } from './int8-parity.test-support.ts';
import { expectClose, randomFloats, ref, runKernel, useDevice } from './parity.test-support.ts';
import { sandwichNormInt8 } from './sandwich-norm-int8.ts';
import { sandwichNormInt8Reference } from './sandwich-norm-int8.reference.ts';
import { sandwichNormReference } from './sandwich-norm.reference.ts';

describe('SandwichNormInt8', () => {
  const device = useDevice();
  const cases = [
    { rows: 1, C: 32, workgroup: 16, scale: 1 },
    { rows: 8, C: 96, workgroup: 16, scale: 1 },
    // Half of the invocations have no vectors in the last round.
    { rows: 2, C: 33 * 32, workgroup: 16, scale: 1 },
    { rows: 3, C: 704, workgroup: 128, scale: 1 },
    // Block outputs of this size overflow f16.
    { rows: 5, C: 192, workgroup: 64, scale: 1e5 },
    // So small that epsilon decides.
    { rows: 2, C: 64, workgroup: 64, scale: 1e-4 },
    { rows: 1, C: 64, workgroup: 32, scale: 0 },
  ];
  for (const reduction of ['workgroup', 'subgroup'] as const) {
    for (const { rows, C, workgroup, scale } of cases) {
      it(`matches the reference for ${rows}x${C} of ${scale}, ${workgroup} threads, ${reduction}`, async () => {
        const sizes = { C, epsilon: 1e-5 };
        const arrays = {
          x: randomFloats(rows * C, 1, scale),
          hidden: randomFloats(rows * C, 2),
          postWeight: randomFloats(C, 3),
          preWeight: randomFloats(C, 4),
        };
        const call = sandwichNormInt8({
          label: 'test',
          rows: 'tokens',
          ...sizes,
          reduction,
          workgroup,
          x: ref('x'),
          postWeight: ref('postWeight'),
          preWeight: ref('preWeight'),
          hidden: ref('hidden'),
          y: INT8_TARGET,
        });
        const results = await runKernel(
          device(),
          call,
          { ...arrays, ...int8Target(rows * C) },
          { rows, outputs: ['hidden', 'codes', 'totals'] },
        );
        const expected = sandwichNormInt8Reference(arrays, sizes);
        expectClose(new Float32Array(results.hidden), expected.hidden, 1e-6);
        const exact = sandwichNormReference(arrays, sizes).y;
        expectInt8Close(results, { exact, rounded: expected.y, inputError: 1e-6, K: C });
      });
    }
  }
});
