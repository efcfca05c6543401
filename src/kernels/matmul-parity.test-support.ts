import { describe, expect, it } from 'vitest';
import type { KernelCall, WeightFormat } from './kernel.ts';
import type { MatmulOptions } from './matmul.ts';
import { matmulReference } from './matmul.reference.ts';
import { expectClose, randomFloats, ref, runKernel, stepWords, useDevice } from './parity.test-support.ts';
import { packMatrix } from './weight-packing.test-support.ts';

/** A product to compare. */
export interface MatmulCase {
  readonly rows: number;
  readonly N: number;
  readonly K: number;
  readonly format: WeightFormat;
  readonly hasBias: boolean;
  readonly partRows?: readonly number[];
}

/** A value that no product gives, to see what stays untouched. */
const UNTOUCHED = 12345;

const CASES: readonly MatmulCase[] = [
  { rows: 1, N: 5, K: 8, format: 'f32', hasBias: false },
  { rows: 70, N: 67, K: 72, format: 'f32', hasBias: true },
  { rows: 65, N: 64, K: 40, format: 'f16', hasBias: true },
  { rows: 64, N: 1, K: 136, format: 'f16', hasBias: false },
  { rows: 130, N: 129, K: 96, format: 'q4', hasBias: true, partRows: [64, 65] },
  { rows: 7, N: 66, K: 160, format: 'q4', hasBias: false },
  { rows: 33, N: 100, K: 64, format: 'q8', hasBias: false, partRows: [60, 40] },
];

/** Compares a kernel that multiplies many rows by a weight with the twin, over odd sizes and all formats. */
export function describeMatmul(
  subject: string,
  matmul: (options: MatmulOptions) => KernelCall[],
  cases = CASES,
  needs: Parameters<typeof useDevice>[0] = {},
): void {
  describe(subject, () => {
    const device = useDevice(needs);
    for (const { rows, N, K, format, hasBias, partRows } of cases) {
      const parts = partRows ? `, parts of ${partRows.join(' and ')} rows` : '';
      const name = `${rows}x${K} by ${N}x${K}, ${format}${hasBias ? ' and bias' : ''}${parts}`;
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
}
