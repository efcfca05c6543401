import { describe, expect, it } from 'vitest';
import type { Capabilities } from '../gpu/capabilities.ts';
import { rowProduct } from '../kernels/row-tiling.ts';
import { ASSUMED_GPU } from './assumed-gpu.ts';
import { chooseCompileOptions } from './compile-options.ts';
import { equalTilings, TILED_PRODUCTS, tilingCandidates } from './tiling-candidates.ts';

function onDevice(min: number, max: number, more: Partial<Capabilities> = {}) {
  const capabilities = { ...ASSUMED_GPU, hasSubgroups: true, subgroupSizes: { min, max }, ...more };
  return { capabilities, options: chooseCompileOptions(capabilities, { context: 1024 }) };
}

describe('tilingCandidates', () => {
  it.each([
    ['NVIDIA', 32, 32],
    ['AMD', 32, 64],
    ['Intel', 8, 32],
    ['a GPU of wide subgroups', 64, 128],
    ['a GPU that sums in workgroup memory', 4, 4],
  ])('are programs of %s, the present one first', (_, min, max) => {
    const { capabilities, options } = onDevice(min, max);
    expect(tilingCandidates('o', options, capabilities).length).toBeGreaterThan(1);
    for (const product of TILED_PRODUCTS) {
      const candidates = tilingCandidates(product, options, capabilities);
      expect(candidates[0]).toBe(options.int8Tilings[product]);
      for (const [index, tiling] of candidates.entries()) {
        const { reduction, leastSubgroup } = options;
        expect(() => rowProduct(tiling, { K: 4096, columns: 8, reduction, leastSubgroup })).not.toThrow();
        expect(tiling.lanes * tiling.sets).toBeLessThanOrEqual(capabilities.limits.maxWorkgroupInvocations);
        if (reduction === 'subgroup') expect(tiling.lanes % max).toBe(0);
        if (product === 'gateUp') expect([tiling.rows * tiling.sets, tiling.rows % 8]).toEqual([64, 0]);
        expect(candidates.findIndex((other) => equalTilings(other, tiling))).toBe(index);
      }
    }
  });

  it('leaves out what takes more workgroup memory than every device grants', () => {
    const { capabilities, options } = onDevice(8, 32);
    const wide = { lanes: 64, sets: 2, rows: 32 };
    const has = (tilings: readonly (typeof wide)[]): boolean =>
      tilings.some((one) => equalTilings(one, wide));
    expect(has(tilingCandidates('gateUp', options, capabilities))).toBe(false);
    const even = onDevice(32, 32);
    expect(has(tilingCandidates('gateUp', even.options, even.capabilities))).toBe(true);
  });
});
