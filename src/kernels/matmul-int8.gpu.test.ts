import { describe, expect, it } from 'vitest';
import { int8Target, INT8_TARGET } from './int8-parity.test-support.ts';
import { matmulInt8 } from './matmul-int8.ts';
import { matmulInt8Reference } from './matmul-int8.reference.ts';
import { expectClose, randomFloats, ref, runKernel, stepWords, useDevice } from './parity.test-support.ts';
import { quantizeActivations } from './quantize-activations.ts';
import { packMatrix } from './weight-packing.test-support.ts';

const DIGITS = { ...INT8_TARGET, layout: 'rows' } as const;

/** A value that no product gives, to see what stays untouched. */
const UNTOUCHED = 12345;

describe('MatmulInt8', () => {
  const device = useDevice();
  const cases = [
    // The program is large: software compiles it for seconds, so that the cases share it.
    { rows: 1, N: 136, K: 96 },
    { rows: 70, N: 136, K: 96 },
  ] as const;
  for (const { rows, N, K } of cases) {
    it(`matches the reference for ${rows}x${K} by ${N}x${K}`, async () => {
      const weight = packMatrix('weight', { N, K, format: 'q4', seed: 1 });
      // Rows of very different sizes: each group has a scale of its own.
      const x = randomFloats(rows * K, 2).map((value, i) => value * 10 ** ((Math.floor(i / 32) % 5) - 2));
      const y = new Float32Array((rows + 1) * N).fill(UNTOUCHED);
      const step = ref('step');
      const calls = [
        quantizeActivations({ label: 'digits', rows: 'tokens', K, x: ref('x'), y: DIGITS }),
        ...matmulInt8({
          label: 'test',
          rows: 'tokens',
          weight: weight.matrix,
          step,
          x: DIGITS,
          y: ref('y'),
        }),
      ];
      const { codes, totals } = int8Target(rows * K);
      const arrays = { ...weight.arrays, step: stepWords({ rowCount: rows }), x, y, codes, totals };
      const results = await runKernel(device(), calls, arrays, { rows, outputs: ['y'] });
      const actual = new Float32Array(results.y);
      const expected = matmulInt8Reference(x, weight.values, { N, K });
      // A digit that lies between two steps may go either way.
      expectClose(actual.subarray(0, rows * N), expected, 1e-5);
      expect(actual.subarray(rows * N)).toEqual(new Float32Array(N).fill(UNTOUCHED));
    });
  }
});
