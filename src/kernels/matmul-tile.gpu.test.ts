import { expect, it } from 'vitest';
import { fitsMatmulTile, MATMUL_TILE_BYTES, matmulTile } from './matmul-tile.ts';
import { describeMatmul } from './matmul-parity.test-support.ts';
import { packMatrix } from './weight-packing.test-support.ts';

// More than one tile of 128 rows and of 64 outputs, and less than one; one step along K and many.
describeMatmul(
  'MatmulTile',
  matmulTile,
  [
    { rows: 1, N: 4, K: 16, format: 'f32', hasBias: false },
    { rows: 130, N: 132, K: 80, format: 'f32', hasBias: true },
    { rows: 65, N: 64, K: 48, format: 'f16', hasBias: true },
    { rows: 40, N: 200, K: 96, format: 'q4', hasBias: true, partRows: [68, 132] },
    { rows: 33, N: 100, K: 64, format: 'q8', hasBias: false, partRows: [60, 40] },
  ],
  { workgroupStorageBytes: MATMUL_TILE_BYTES },
);

it.each([
  { N: 8, K: 16, partRows: [4, 4], fits: true },
  { N: 8, K: 8, partRows: [8], fits: false },
  { N: 6, K: 16, partRows: [6], fits: false },
  { N: 8, K: 16, partRows: [2, 6], fits: false },
])('matmulTile takes $N outputs of $K in parts of $partRows: $fits', ({ fits, ...sizes }) => {
  const { matrix } = packMatrix('weight', { ...sizes, format: 'f32', seed: 1 });
  expect(fitsMatmulTile(matrix)).toBe(fits);
});
