import { describe, expect, it } from 'vitest';
import { gateUpInt8 } from './gate-up-int8.ts';
import { gateUpInt8Reference } from './gate-up-int8.reference.ts';
import { encodeInt8, roundToInt8Digits } from './int8-activations.reference.ts';
import type { Int8Activations } from './int8-activations.ts';
import { expectInt8Close, INT8_TARGET, int8Target, randomGroups } from './int8-parity.test-support.ts';
import type { Reduction } from './kernel.ts';
import { randomFloats, ref, runKernel, useDevice } from './parity.test-support.ts';
import type { RowTiling } from './row-tiling.ts';
import { packMatrix } from './weight-packing.test-support.ts';

const X: Int8Activations = { codes: ref('xCodes'), totals: ref('xTotals') };

describe('GateUpInt8', () => {
  const device = useDevice();

  interface Case {
    readonly columns: number;
    readonly F: number;
    readonly K: number;
    readonly reduction: Reduction;
    readonly tiling: RowTiling;
  }
  const cases: readonly Case[] = [
    { columns: 1, F: 32, K: 32, reduction: 'workgroup', tiling: { lanes: 4, sets: 1, rows: 64 } },
    { columns: 1, F: 96, K: 704, reduction: 'subgroup', tiling: { lanes: 32, sets: 8, rows: 8 } },
    { columns: 2, F: 64, K: 96, reduction: 'workgroup', tiling: { lanes: 16, sets: 4, rows: 16 } },
    { columns: 4, F: 64, K: 160, reduction: 'subgroup', tiling: { lanes: 32, sets: 4, rows: 16 } },
    { columns: 5, F: 32, K: 288, reduction: 'workgroup', tiling: { lanes: 8, sets: 2, rows: 32 } },
    // More outputs than invocations.
    { columns: 8, F: 64, K: 64, reduction: 'workgroup', tiling: { lanes: 4, sets: 4, rows: 16 } },
    {
      columns: 2,
      F: 64,
      K: 96,
      reduction: 'subgroup',
      tiling: { lanes: 4, sets: 8, rows: 8, inTurn: true },
    },
    {
      columns: 3,
      F: 32,
      K: 704,
      reduction: 'subgroup',
      tiling: { lanes: 24, sets: 8, rows: 8, inTurn: true },
    },
    {
      columns: 4,
      F: 96,
      K: 160,
      reduction: 'subgroup',
      tiling: { lanes: 8, sets: 8, rows: 8, inTurn: true },
    },
  ];
  for (const { columns, F, K, reduction, tiling } of cases) {
    const { lanes, sets, rows, inTurn } = tiling;
    const name =
      `${columns} columns by ${F}x${K}, ${sets} x ${lanes} lanes, ${rows} rows` +
      `${inTurn ? ' in turn' : ''}, ${reduction}`;
    it(`matches the reference for ${name}`, async () => {
      const { matrix, arrays, values } = packMatrix('weight', { N: 2 * F, K, format: 'q4', seed: 1 });
      const x = randomGroups(columns * K, 2);
      const call = gateUpInt8({
        label: 'test',
        columns,
        reduction,
        tiling,
        weight: matrix,
        x: X,
        y: INT8_TARGET,
      });
      const digits = encodeInt8(x, K);
      const inputs = { ...arrays, xCodes: digits.codes, xTotals: digits.totals };
      const results = await runKernel(
        device(),
        call,
        { ...inputs, ...int8Target(columns * F) },
        { outputs: ['codes', 'totals'] },
      );
      const exact = gateUpInt8Reference(x, values, { F, K });
      // A product's error counts twice: in the gate's exponent and in the factor.
      expectInt8Close(results, { exact, rounded: roundToInt8Digits(exact), inputError: 1e-5, K: F });
    });
  }

  it('refuses sets that do not make up one group of outputs', () => {
    const { matrix } = packMatrix('weight', { N: 64, K: 32, format: 'q4', seed: 1 });
    const options = { label: 'test', columns: 1, reduction: 'workgroup', weight: matrix } as const;
    const tiling = { lanes: 8, sets: 2, rows: 16 };
    expect(() => gateUpInt8({ ...options, tiling, x: X, y: INT8_TARGET })).toThrow('one group');
  });

  it.each([NaN, Infinity])('passes %f on to its row, and to no other', async (fault) => {
    const { matrix, arrays } = packMatrix('weight', { N: 64, K: 64, format: 'q4', seed: 1 });
    const x = randomFloats(2 * 64, 1);
    x[40] = fault;
    const digits = encodeInt8(x, 64);
    digits.totals[2] = fault;
    const call = gateUpInt8({
      label: 'test',
      columns: 2,
      reduction: 'workgroup',
      tiling: { lanes: 8, sets: 4, rows: 16 },
      weight: matrix,
      x: X,
      y: INT8_TARGET,
    });
    const inputs = { ...arrays, xCodes: digits.codes, xTotals: digits.totals };
    const { totals } = await runKernel(
      device(),
      call,
      { ...inputs, ...int8Target(2 * 32) },
      { outputs: ['totals'] },
    );
    const isFinite = Array.from(new Float32Array(totals), (value) => Number.isFinite(value));
    expect(isFinite.slice(0, 4)).toEqual([false, false, true, true]);
  });
});
