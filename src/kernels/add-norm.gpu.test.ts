import { describe, it } from 'vitest';
import { addNorm } from './add-norm.ts';
import { addNormReference } from './add-norm.reference.ts';
import { expectClose, randomFloats, ref, runKernel, useDevice } from './parity.test-support.ts';

describe('AddNorm', () => {
  const device = useDevice();
  const cases = [
    { rows: 1, C: 4, merge: 1, workgroup: 32 },
    { rows: 3, C: 260, merge: 1, workgroup: 32 },
    { rows: 8, C: 192, merge: 4, workgroup: 64 },
    { rows: 2, C: 1028, merge: 1, workgroup: 256 },
  ];
  for (const reduction of ['workgroup', 'subgroup'] as const) {
    for (const { rows, C, merge, workgroup } of cases) {
      it(`matches the reference for ${rows}x${C}, merge ${merge}, ${workgroup} threads, ${reduction}`, async () => {
        const sizes = { C, epsilon: 1e-5, merge };
        const arrays = {
          x: randomFloats(rows * C, 1),
          hidden: randomFloats(rows * C, 2, 10),
          weight: randomFloats(C, 3),
        };
        const call = addNorm({
          label: 'test',
          rows: 'patches',
          ...sizes,
          reduction,
          workgroup,
          x: ref('x'),
          weight: ref('weight'),
          hidden: ref('hidden'),
          y: ref('y'),
        });
        const results = await runKernel(
          device(),
          call,
          { ...arrays, y: new Float32Array(rows * C) },
          { rows, outputs: ['hidden', 'y'] },
        );
        const expected = addNormReference(arrays, sizes);
        expectClose(new Float32Array(results.hidden), expected.hidden, 1e-6);
        expectClose(new Float32Array(results.y), expected.y, 1e-6);
      });
    }
  }
});
