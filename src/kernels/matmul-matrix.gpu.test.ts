import { describe, expect, it } from 'vitest';
import { MATRIX_WORKGROUP_BYTES } from './attention-matrix.ts';
import type { KernelCall } from './kernel.ts';
import { fitsMatmulMatrix, matmulMatrix } from './matmul-matrix.ts';
import { matmulMatrixReference } from './matmul-matrix.reference.ts';
import { packHalves } from './pack-halves.ts';
import { expectClose, randomFloats, ref, runKernel, stepWords, useDevice } from './parity.test-support.ts';
import { packMatrix, type PackedMatrix } from './weight-packing.test-support.ts';
import { findProgramFaults } from './wgsl-validation.test-support.ts';

/** A value that no product gives, to see what stays untouched. */
const UNTOUCHED = 12345;

const CASES = [
  { rows: 16, N: 16, K: 64, format: 'f16' },
  { rows: 130, N: 144, K: 96, format: 'q4', partRows: [48, 96] },
  { rows: 37, N: 208, K: 160, format: 'q8' },
] as const;

function product({ matrix }: PackedMatrix): KernelCall[] {
  const y = ref('y');
  return matmulMatrix({
    label: 'test',
    rows: 'tokens',
    weight: matrix,
    step: ref('step'),
    codes: ref('codes'),
    y,
  });
}

describe('MatmulMatrix', () => {
  const device = useDevice({ workgroupStorageBytes: MATRIX_WORKGROUP_BYTES });
  for (const { rows, ...sizes } of CASES) {
    const { N, K, format } = sizes;
    it(`is a valid program for weights in ${format}`, async () => {
      const weight = packMatrix('weight', { ...sizes, seed: 1 });
      expect(fitsMatmulMatrix(weight.matrix)).toBe(true);
      expect(await findProgramFaults(product(weight)[0].program)).toEqual([]);
    });

    it(`matches the reference for ${rows}x${K} by ${N}x${K}, ${format}, on adapters that have matrices`, async () => {
      // Others never get it: see the compile options' tests.
      if (!device().capabilities.hasSubgroupMatrix) return;
      const weight = packMatrix('weight', { ...sizes, seed: 1 });
      const x = randomFloats(rows * K, 2);
      const capacity = Math.ceil(rows / 16) * 16;
      const y = new Float32Array((capacity + 1) * N).fill(UNTOUCHED);
      const codes = new Uint32Array((rows * K) / 2);
      const pack = packHalves({ label: 'pack', rows: 'tokens', K, x: ref('x'), codes: ref('codes') });
      const arrays = { ...weight.arrays, step: stepWords({ rowCount: rows }), x, codes, y };
      const results = await runKernel(device(), [pack, ...product(weight)], arrays, { rows, outputs: ['y'] });
      const actual = new Float32Array(results.y);
      const expected = matmulMatrixReference(x, weight.values, { N, K });
      // A value between two f16 may go either way.
      expectClose(actual.subarray(0, rows * N), expected, 2e-4);
      expect(actual.subarray(capacity * N)).toEqual(new Float32Array(N).fill(UNTOUCHED));
    });
  }

  it('finds a fault where there is one', async () => {
    const [{ program }] = product(packMatrix('weight', { N: 16, K: 32, format: 'f16', seed: 1 }));
    const broken = { ...program, source: program.source.replaceAll('col_major', 'no_major') };
    expect(await findProgramFaults(broken)).not.toEqual([]);
  });

  it.each([
    { N: 24, K: 32, format: 'f16' },
    { N: 32, K: 48, format: 'f16' },
    { N: 32, K: 32, format: 'f32' },
  ] as const)('does not take $N outputs of $K in $format', (sizes) => {
    expect(fitsMatmulMatrix(packMatrix('weight', { ...sizes, seed: 1 }).matrix)).toBe(false);
  });
});
