import { describe, expect, it } from 'vitest';
import type { PreprocessorConfig } from '../image/preprocessor-config.ts';
import { createImageTokenCounter } from './image-token-counter.ts';

/** GLM-4.1V's own numbers. */
const CONFIG: PreprocessorConfig = {
  minPixels: 12_544,
  maxPixels: 9_633_792,
  patchSize: 14,
  temporalPatchSize: 2,
  mergeSize: 2,
  mean: [0, 0, 0],
  std: [1, 1, 1],
  rescaleFactor: 1 / 255,
};

describe('createImageTokenCounter', () => {
  it.each([
    ['a small screenshot costs the same in both', 280, 560, 200, 200],
    ['a phone screenshot costs less than half with low detail', 1080, 2400, 39 * 86, 26 * 58],
  ])('%s', (_, width, height, full, low) => {
    expect(createImageTokenCounter(CONFIG)(width, height)).toEqual({ full, low });
  });
});
