import { describe, it } from 'vitest';
import { expectClose, randomFloats, ref, runKernel, useDevice } from './parity.test-support.ts';
import { rmsNorm } from './rms-norm.ts';
import { rmsNormReference } from './rms-norm.reference.ts';

describe('RmsNorm', () => {
  const device = useDevice();
  const cases = [
    { rows: 1, C: 4, merge: 1, workgroup: 64 },
    { rows: 3, C: 260, merge: 1, workgroup: 64 },
    { rows: 8, C: 192, merge: 4, workgroup: 128 },
    { rows: 5, C: 1028, merge: 1, workgroup: 256 },
  ];
  for (const reduction of ['workgroup', 'subgroup'] as const) {
    for (const { rows, C, merge, workgroup } of cases) {
      it(`matches the reference for ${rows}x${C}, merge ${merge}, ${workgroup} threads, ${reduction}`, async () => {
        const x = randomFloats(rows * C, 1);
        const weight = randomFloats(C, 2);
        const options = {
          label: 'test',
          rows: 'tokens',
          C,
          epsilon: 1e-5,
          merge,
          reduction,
          workgroup,
        } as const;
        const call = rmsNorm({ ...options, x: ref('x'), weight: ref('weight'), y: ref('y') });
        const y = new Float32Array(rows * C);
        const results = await runKernel(device(), call, { x, weight, y }, { rows, outputs: ['y'] });
        const expected = rmsNormReference(x, weight, { C, epsilon: 1e-5, merge });
        expectClose(new Float32Array(results.y), expected, 1e-6);
      });
    }
  }
});
