import { describe, expect, it } from 'vitest';
import type { WeightFormat } from './kernel.ts';
import { matmul } from './matmul.ts';
import { matmulReference } from './matmul.reference.ts';
import { expectClose, randomFloats, ref, runKernel, stepWords, useDevice } from './parity.test-support.ts';
import { packMatrix } from './weight-packing.test-support.ts';

interface Case {
  readonly rows: number;
  readonly N: number;
  readonly K: number;
  readonly format: WeightFormat;
  readonly hasBias: boolean;
  readonly partRows?: readonly number[];
  readonly depth?: 8 | 16 | 32;
}

/** A value that no product gives, to see what stays untouched. */
const UNTOUCHED = 12345;

describe('Matmul', () => {
  const device = useDevice();
  const cases: readonly Case[] = [
    { rows: 1, N: 5, K: 8, format: 'f32', hasBias: false, depth: 8 },
    { rows: 70, N: 67, K: 72, format: 'f32', hasBias: true, depth: 8 },
    { rows: 65, N: 64, K: 40, format: 'f16', hasBias: true },
    { rows: 64, N: 1, K: 136, format: 'f16', hasBias: false, depth: 8 },
    { rows: 130, N: 129, K: 96, format: 'q4', hasBias: true, partRows: [64, 65], depth: 8 },
    { rows: 7, N: 66, K: 160, format: 'q4', hasBias: false, depth: 32 },
    { rows: 33, N: 100, K: 64, format: 'q8', hasBias: false, partRows: [60, 40], depth: 8 },
  ];
  for (const { rows, N, K, format, hasBias, partRows, depth } of cases) {
    const parts = partRows ? `, parts of ${partRows.join(' and ')} rows` : '';
    const name = `${rows}x${K} by ${N}x${K}, ${format}${hasBias ? ' and bias' : ''}${parts}, depth ${depth ?? 'default'}`;
    it(`matches the reference for ${name}`, async () => {
      const weight = packMatrix('weight', { N, K, format, seed: 1, ...(partRows && { partRows }) });
      const x = randomFloats(rows * K, 2);
      const bias = randomFloats(N, 3);
      const y = new Float32Array((rows + 1) * N).fill(UNTOUCHED);
      const calls = matmul({
        label: 'test',
        rows: 'tokens',
        weight: weight.matrix,
        step: ref('step'),
        x: ref('x'),
        y: ref('y'),
        ...(hasBias && { bias: ref('bias') }),
        ...(depth && { depth }),
      });
      const arrays = { ...weight.arrays, step: stepWords({ rowCount: rows }), x, bias, y };
      const results = await runKernel(device(), calls, arrays, { rows, outputs: ['y'] });
      const actual = new Float32Array(results.y);
      const expected = matmulReference(x, weight.values, { N, K, ...(hasBias && { bias }) });
      expectClose(actual.subarray(0, rows * N), expected, 1e-6);
      expect(actual.subarray(rows * N)).toEqual(new Float32Array(N).fill(UNTOUCHED));
    });
  }
});
