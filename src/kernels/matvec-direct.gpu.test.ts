import { describe, expect, it } from 'vitest';
import { matvecDirect } from './matvec-direct.ts';
import { matvecDirectReference } from './matvec-direct.reference.ts';
import { expectClose, randomFloats, ref, runKernel, useDevice } from './parity.test-support.ts';
import { packMatrix } from './weight-packing.test-support.ts';

/** A value that no product gives, to see what stays untouched. */
const UNTOUCHED = 12345;

describe('MatvecDirect', () => {
  const device = useDevice();
  const cases = [
    { columns: 1, N: 1, K: 8, format: 'f32', partRows: [1] },
    { columns: 3, N: 130, K: 264, format: 'f16', partRows: [130] },
    { columns: 1, N: 77, K: 96, format: 'q4', partRows: [40, 37] },
    { columns: 6, N: 50, K: 608, format: 'q4', partRows: [50] },
    { columns: 8, N: 43, K: 96, format: 'q8', partRows: [3, 40] },
  ] as const;
  for (const { columns, N, K, format, partRows } of cases) {
    const parts = `parts of ${partRows.join(' and ')} rows`;
    it(`matches the reference for ${columns} columns by ${N}x${K} ${format}, ${parts}`, async () => {
      const weight = packMatrix('weight', { N, K, format, seed: 1, partRows });
      const x = randomFloats(columns * K, 2);
      const y = new Float32Array((columns + 1) * N).fill(UNTOUCHED);
      const calls = matvecDirect({ label: 'test', columns, weight: weight.matrix, x: ref('x'), y: ref('y') });
      const results = await runKernel(device(), calls, { ...weight.arrays, x, y }, { outputs: ['y'] });
      const actual = new Float32Array(results.y);
      expectClose(actual.subarray(0, columns * N), matvecDirectReference(x, weight.values, { N, K }), 1e-6);
      expect(actual.subarray(columns * N)).toEqual(new Float32Array(N).fill(UNTOUCHED));
    });
  }
});
