import { describe, it } from 'vitest';
import { expectClose, randomFloats, ref, runKernel, useDevice } from './parity.test-support.ts';
import { sandwichNorm } from './sandwich-norm.ts';
import { sandwichNormReference } from './sandwich-norm.reference.ts';

describe('SandwichNorm', () => {
  const device = useDevice();
  const cases = [
    { rows: 1, C: 4, workgroup: 32, scale: 1 },
    { rows: 3, C: 260, workgroup: 32, scale: 1 },
    { rows: 2, C: 1028, workgroup: 256, scale: 1 },
    // Block outputs of this size overflow f16.
    { rows: 5, C: 192, workgroup: 64, scale: 1e5 },
    // So small that epsilon decides.
    { rows: 2, C: 64, workgroup: 64, scale: 1e-4 },
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
        const call = sandwichNorm({
          label: 'test',
          rows: 'tokens',
          ...sizes,
          reduction,
          workgroup,
          x: ref('x'),
          postWeight: ref('postWeight'),
          preWeight: ref('preWeight'),
          hidden: ref('hidden'),
          y: ref('y'),
        });
        const results = await runKernel(
          device(),
          call,
          { ...arrays, y: new Float32Array(rows * C) },
          { rows, outputs: ['hidden', 'y'] },
        );
        const expected = sandwichNormReference(arrays, sizes);
        expectClose(new Float32Array(results.hidden), expected.hidden, 1e-6);
        expectClose(new Float32Array(results.y), expected.y, 1e-6);
      });
    }
  }
});
