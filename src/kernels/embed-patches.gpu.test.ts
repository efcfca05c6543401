import { describe, expect, it } from 'vitest';
import { embedPatches } from './embed-patches.ts';
import golden from './embed-patches.golden.json' with { type: 'json' };
import { embedPatchesReference, type PatchGrid } from './embed-patches.reference.ts';
import type { Reduction } from './kernel.ts';
import { expectClose, randomFloats, ref, runKernel, stepWords, useDevice } from './parity.test-support.ts';

describe('EmbedPatches', () => {
  const device = useDevice();

  async function run(
    arrays: Record<'x' | 'weight' | 'positions', Float32Array<ArrayBuffer>>,
    grid: PatchGrid,
    { reduction, workgroup }: { reduction: Reduction; workgroup: number },
  ): Promise<Float32Array> {
    const { gridRows, gridColumns, ...sizes } = grid;
    const rows = gridRows * gridColumns;
    const call = embedPatches({
      label: 'test',
      ...sizes,
      reduction,
      workgroup,
      step: ref('step'),
      x: ref('x'),
      weight: ref('weight'),
      positions: ref('positions'),
      hidden: ref('hidden'),
    });
    const step = stepWords({ rowCount: rows, gridRows, gridColumns });
    const hidden = new Float32Array(rows * grid.C);
    const results = await runKernel(
      device(),
      call,
      { ...arrays, step, hidden },
      { rows, outputs: ['hidden'] },
    );
    return new Float32Array(results.hidden);
  }

  const sizes = { epsilon: 1e-5, spatialMergeSize: 2 };
  const cases = [
    { C: 4, positionSide: 3, gridRows: 2, gridColumns: 2, workgroup: 32 },
    { C: 260, positionSide: 5, gridRows: 4, gridColumns: 6, workgroup: 32 },
    { C: 192, positionSide: 24, gridRows: 6, gridColumns: 2, workgroup: 64 },
    { C: 64, positionSide: 4, gridRows: 12, gridColumns: 10, spatialMergeSize: 1, workgroup: 64 },
  ];
  for (const reduction of ['workgroup', 'subgroup'] as const) {
    for (const { workgroup, ...one } of cases) {
      const { gridRows, gridColumns, C, positionSide } = one;
      const name = `${gridRows}x${gridColumns} patches of ${C} on ${positionSide}x${positionSide} positions`;
      it(`matches the reference for ${name}, ${workgroup} threads, ${reduction}`, async () => {
        const grid = { ...sizes, ...one };
        const x = randomFloats(gridRows * gridColumns * C, 1);
        const weight = randomFloats(C, 2);
        const positions = randomFloats(positionSide ** 2 * C, 3);
        const actual = await run({ x, weight, positions }, grid, { reduction, workgroup });
        expectClose(actual, embedPatchesReference(x, weight, positions, grid), 2e-6);
      });
    }
  }

  // Zeros stay zeros under the norm, so that only the sampled positions are left.
  for (const { positionSide, gridRows, gridColumns, sampled } of golden.cases) {
    it(`samples ${positionSide}x${positionSide} positions for ${gridRows}x${gridColumns} patches as torch does`, async () => {
      const grid = { ...sizes, C: 4, positionSide, gridRows, gridColumns };
      const x = new Float32Array(gridRows * gridColumns * 4);
      const weight = new Float32Array(4).fill(1);
      const positions = Float32Array.from(
        { length: positionSide ** 2 * 4 },
        (_, i) => ((i * 7919) % 101) / 50 - 1,
      );
      const expected = Float32Array.from(sampled);
      expect(expected.length).toBe(x.length);
      expectClose(embedPatchesReference(x, weight, positions, grid), expected, 1e-6);
      const actual = await run({ x, weight, positions }, grid, { reduction: 'workgroup', workgroup: 32 });
      // WGSL's division may be off by 2.5 ULP, which 24 steps of the table make a few 1e-6 (2.1e-6 on an H200).
      expectClose(actual, expected, 5e-6);
    });
  }
});
