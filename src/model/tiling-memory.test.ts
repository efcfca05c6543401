import { describe, expect, it } from 'vitest';
import { ASSUMED_GPU } from './assumed-gpu.ts';
import { chooseCompileOptions, type Int8Tilings } from './compile-options.ts';
import { tilingCandidates, TILED_PRODUCTS } from './tiling-candidates.ts';
import { parseTilings } from './tiling-memory.ts';

const options = chooseCompileOptions(ASSUMED_GPU, { context: 1024 });
const tilings = Object.fromEntries(
  TILED_PRODUCTS.map((product) => [product, tilingCandidates(product, options, ASSUMED_GPU).at(-1)]),
) as Int8Tilings;

describe('parseTilings', () => {
  it('takes what was stored', () => {
    expect(parseTilings(JSON.parse(JSON.stringify(tilings)), options, ASSUMED_GPU)).toEqual(tilings);
  });

  it.each([
    ['nothing', undefined],
    ['no object', 'qkv'],
    ['a product without a tiling', { ...tilings, o: undefined }],
    ['a product with none', { ...tilings, o: null }],
    ['a tiling that the device cannot run', { ...tilings, down: { lanes: 4096, sets: 1, rows: 4 } }],
    ['a tiling of another kind', { ...tilings, gateUp: tilings.down }],
    ['numbers as text', { ...tilings, head: { lanes: '64', sets: 1, rows: 4 } }],
  ])('gives nothing for %s', (_, record) => {
    expect(parseTilings(record, options, ASSUMED_GPU)).toBeUndefined();
  });
});
