import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { isAutoglmError } from '../base/errors.ts';
import { GLM_CONFIG } from './golden.test-support.ts';
import { planImage } from './prepare-image.ts';
import { smartResize } from './smart-resize.ts';

interface ReferenceCase {
  readonly width: number;
  readonly height: number;
  readonly max_pixels_value: number;
  readonly min_pixels: number;
  readonly resized_width: number;
  readonly resized_height: number;
  readonly grid_thw: readonly [number, number, number];
  readonly patches: number;
  readonly tokens: number;
}

const { cases } = JSON.parse(readFileSync(new URL('goldens/preprocess.json', import.meta.url), 'utf8')) as {
  cases: ReferenceCase[];
};

describe('smartResize', () => {
  it('has all 18 reference rows to compare with', () => {
    expect(cases).toHaveLength(18);
  });

  it.each(cases)('gives the size of transformers for $width x $height at $max_pixels_value', (row) => {
    const config = { ...GLM_CONFIG, minPixels: row.min_pixels };
    expect(planImage(row.width, row.height, config, { maxPixels: row.max_pixels_value })).toEqual({
      originalWidth: row.width,
      originalHeight: row.height,
      resizedWidth: row.resized_width,
      resizedHeight: row.resized_height,
      gridRows: row.grid_thw[1],
      gridCols: row.grid_thw[2],
      patchCount: row.patches,
      tokenCount: row.tokens,
    });
  });

  // Computed with smart_resize of transformers 5.23.
  it.each([
    ['rounds half a block to the even neighbour', 98, 126, 112, 112],
    ['rounds half a block to the even neighbour in larger pictures', 210, 350, 224, 336],
    ['enlarges a picture below one block', 1, 1, 84, 84],
    ['enlarges a narrow picture first', 27, 4000, 28, 4144],
    ['enlarges up to the least area', 30, 60, 56, 112],
    ['accepts the greatest aspect ratio', 28, 5600, 28, 5600],
  ])('%s', (_behaviour, width, height, resizedWidth, resizedHeight) => {
    expect(smartResize(width, height, GLM_CONFIG)).toEqual({ width: resizedWidth, height: resizedHeight });
  });

  it('keeps one block a side when hardly any pixel is allowed', () => {
    expect(smartResize(1080, 2400, { ...GLM_CONFIG, minPixels: 1, maxPixels: 1 })).toEqual({
      width: 28,
      height: 28,
    });
  });

  it.each([
    [1, 300],
    [300, 1],
    [28, 5601],
    [100, 20_001],
  ])('refuses the aspect ratio of %i x %i', (width, height) => {
    expect(() => smartResize(width, height, GLM_CONFIG)).toThrow(
      expect.objectContaining({ code: 'image-aspect-ratio', limit: 200 }),
    );
  });

  it.each([
    [0, 10],
    [10, 0],
    [-1, 10],
    [1.5, 10],
    [Number.NaN, 10],
  ])('refuses %d x %d pixels', (width, height) => {
    expect(() => smartResize(width, height, GLM_CONFIG)).toThrow(
      expect.objectContaining({ code: 'image-size' }),
    );
  });

  it.each([0, -5, 1.5, Number.POSITIVE_INFINITY])('refuses maxPixels %d', (maxPixels) => {
    let thrown: unknown;
    try {
      planImage(100, 100, GLM_CONFIG, { maxPixels });
    } catch (error) {
      thrown = error;
    }
    expect(isAutoglmError(thrown, 'request-invalid')).toBe(true);
  });
});
