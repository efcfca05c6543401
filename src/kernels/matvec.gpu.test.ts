import { describe, expect, it } from 'vitest';
import type { Reduction, WeightFormat } from './kernel.ts';
import { matvec } from './matvec.ts';
import { matvecReference } from './matvec.reference.ts';
import { expectClose, randomFloats, ref, runKernel, useDevice } from './parity.test-support.ts';
import { packMatrix } from './weight-packing.test-support.ts';

interface Case {
  readonly columns: number;
  readonly N: number;
  readonly K: number;
  readonly format: WeightFormat;
  readonly reduction: Reduction;
  readonly workgroup: number;
  readonly partRows?: readonly number[];
}

/** A value that no product gives, to see what stays untouched. */
const UNTOUCHED = 12345;

describe('Matvec', () => {
  const device = useDevice();
  const cases: readonly Case[] = [
    { columns: 1, N: 1, K: 8, format: 'f32', reduction: 'workgroup', workgroup: 32 },
    { columns: 2, N: 7, K: 72, format: 'f32', reduction: 'subgroup', workgroup: 64 },
    { columns: 3, N: 130, K: 264, format: 'f16', reduction: 'workgroup', workgroup: 64 },
    { columns: 4, N: 65, K: 40, format: 'f16', reduction: 'subgroup', workgroup: 32 },
    { columns: 5, N: 9, K: 1056, format: 'q4', reduction: 'workgroup', workgroup: 64 },
    { columns: 1, N: 77, K: 96, format: 'q4', reduction: 'subgroup', workgroup: 64, partRows: [40, 37] },
    { columns: 6, N: 50, K: 608, format: 'q4', reduction: 'subgroup', workgroup: 128 },
    { columns: 7, N: 12, K: 64, format: 'q8', reduction: 'subgroup', workgroup: 64 },
    { columns: 8, N: 43, K: 96, format: 'q8', reduction: 'workgroup', workgroup: 64, partRows: [3, 40] },
  ];
  for (const { columns, N, K, format, reduction, workgroup, partRows } of cases) {
    const parts = partRows ? `, parts of ${partRows.join(' and ')} rows` : '';
    const name = `${columns} columns by ${N}x${K} ${format}${parts}, ${workgroup} threads, ${reduction}`;
    it(`matches the reference for ${name}`, async () => {
      const weight = packMatrix('weight', { N, K, format, seed: 1, ...(partRows && { partRows }) });
      const x = randomFloats(columns * K, 2);
      const y = new Float32Array((columns + 1) * N).fill(UNTOUCHED);
      const shared = { label: 'test', columns, reduction, workgroup, x: ref('x'), y: ref('y') };
      const calls = matvec({ ...shared, weight: weight.matrix });
      const results = await runKernel(device(), calls, { ...weight.arrays, x, y }, { outputs: ['y'] });
      const actual = new Float32Array(results.y);
      expectClose(actual.subarray(0, columns * N), matvecReference(x, weight.values, { N, K }), 1e-6);
      expect(actual.subarray(columns * N)).toEqual(new Float32Array(N).fill(UNTOUCHED));
    });
  }
});
