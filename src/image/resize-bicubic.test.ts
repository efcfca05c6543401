import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { createBicubicWeights } from './bicubic-weights.ts';
import { resizeBicubic } from './resize-bicubic.ts';
import { createRgbImage } from './rgb-image.ts';
import type { RgbImage } from './rgb-image.ts';

interface ReferenceCase {
  readonly width: number;
  readonly height: number;
  readonly resizedWidth: number;
  readonly resizedHeight: number;
  readonly seed: number;
  readonly sha256: string;
}

const { cases } = JSON.parse(readFileSync(new URL('goldens/resize.json', import.meta.url), 'utf8')) as {
  cases: ReferenceCase[];
};

/** The same noise as the reference's: the top bytes of a linear congruential generator. */
function createNoise(width: number, height: number, seed: number): RgbImage {
  let state = seed;
  const data = Uint8Array.from({ length: width * height * 3 }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state >>> 24;
  });
  return createRgbImage(width, height, data);
}

function createFlat(width: number, height: number, colour: readonly number[]): RgbImage {
  return createRgbImage(
    width,
    height,
    Uint8Array.from({ length: width * height * 3 }, (_, index) => colour[index % 3]!),
  );
}

describe('resizeBicubic', () => {
  it.each(cases)(
    'equals torch byte for byte from $width x $height to $resizedWidth x $resizedHeight',
    ({ width, height, resizedWidth, resizedHeight, seed, sha256 }) => {
      const resized = resizeBicubic(createNoise(width, height, seed), resizedWidth, resizedHeight);
      expect([resized.width, resized.height]).toEqual([resizedWidth, resizedHeight]);
      expect(createHash('sha256').update(resized.data).digest('hex')).toBe(sha256);
    },
  );

  it.each([
    [28, 28],
    [300, 7],
    [1000, 41],
  ])('leaves a flat colour unchanged at %i x %i', (width, height) => {
    const colour = [3, 128, 254];
    const resized = resizeBicubic(createFlat(101, 57, colour), width, height);
    expect(resized.data).toHaveLength(width * height * 3);
    expect(resized.data.every((value, index) => value === colour[index % 3])).toBe(true);
  });

  it('does not write into its input', () => {
    const image = createNoise(40, 40, 7);
    const before = image.data.slice();
    resizeBicubic(image, 28, 56);
    expect(image.data).toEqual(before);
  });

  it('refuses a result without area', () => {
    expect(() => resizeBicubic(createNoise(4, 4, 1), 0, 28)).toThrow(
      expect.objectContaining({ code: 'image-size' }),
    );
  });
});

describe('createBicubicWeights', () => {
  it.each([
    [1080, 1036],
    [2400, 2352],
    [1, 28],
    [2, 2],
    [8000, 28],
    [3, 8400],
  ])('reads only samples that exist from %i to %i samples', (inputLength, outputLength) => {
    const { starts, tapCount, weights, precisionBits } = createBicubicWeights(inputLength, outputLength);
    const rows = Array.from(starts, (start, index) => {
      const row = weights.subarray(index * tapCount, (index + 1) * tapCount);
      const sum = row.reduce((total, weight) => total + weight, 0);
      return { first: start, end: start + tapCount, error: Math.abs(sum - 2 ** precisionBits) };
    });
    expect(rows).toHaveLength(outputLength);
    expect(Math.min(...rows.map(({ first }) => first))).toBeGreaterThanOrEqual(0);
    expect(Math.max(...rows.map(({ end }) => end))).toBeLessThanOrEqual(inputLength);
    expect(Math.max(...rows.map(({ error }) => error))).toBeLessThanOrEqual(tapCount / 2);
  });
});
