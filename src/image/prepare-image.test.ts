import { describe, expect, it } from 'vitest';
import { decodeWithSharp } from './decode-node.ts';
import {
  GLM_CONFIG,
  GOLDEN_MODELS,
  readGoldenConfig,
  readGoldenFile,
  readGoldenPixels,
  repeatFrames,
} from './golden.test-support.ts';
import type { GoldenModel } from './golden.test-support.ts';
import { extractPatches } from './patches.ts';
import { prepareImage } from './prepare-image.ts';
import type { PreparedImage } from './prepare-image.ts';
import { createRgbImage } from './rgb-image.ts';

const PROMPTS = [
  ['image', ['image1.png']],
  ['two_images', ['image1.png', 'image2.png']],
] as const;

/** The tolerance: this share of values equal within `NEAR`, the others within one level. */
const NEAR_SHARE = 0.999;
const NEAR = 1e-5;

async function prepareGolden(model: GoldenModel, name: string): Promise<PreparedImage> {
  const image = await decodeWithSharp(readGoldenFile(model, name));
  return prepareImage(image, readGoldenConfig(model));
}

describe.each(GOLDEN_MODELS)('prepareImage on %s', (model) => {
  it.each(PROMPTS)('gives the pixel values of transformers for "%s"', async (prompt, names) => {
    const config = readGoldenConfig(model);
    const golden = readGoldenPixels(model, prompt);
    const images = await Promise.all(names.map((name) => prepareGolden(model, name)));
    const values = repeatFrames(images, config);
    expect(values).toHaveLength(golden.values.length);

    const differences = values.map((value, index) => Math.abs(value - golden.values[index]!));
    const near = differences.filter((difference) => difference <= NEAR).length;
    expect(near / values.length).toBeGreaterThanOrEqual(NEAR_SHARE);
    const oneLevel = config.rescaleFactor / Math.min(...config.std);
    expect(differences.reduce((a, b) => Math.max(a, b))).toBeLessThanOrEqual(oneLevel * 1.001);
  });

  it.each(PROMPTS)('gives the grids of transformers for "%s"', async (prompt, names) => {
    const images = await Promise.all(names.map((name) => prepareGolden(model, name)));
    const grids = images.flatMap(({ gridRows, gridCols }) => [1, gridRows, gridCols]);
    expect(grids).toEqual([...readGoldenPixels(model, prompt).grids]);
  });
});

describe('prepareImage', () => {
  const image = createRgbImage(
    40,
    60,
    Uint8Array.from({ length: 40 * 60 * 3 }, (_, i) => (i * 37) % 256),
  );

  it('fills every patch of the plan', async () => {
    const prepared = await prepareImage(image, GLM_CONFIG);
    expect(prepared.patches).toHaveLength(prepared.patchCount * 3 * 14 * 14);
    expect(prepared.tokenCount).toBe(prepared.patchCount / 4);
  });

  it('takes fewer pixels when told to', async () => {
    const full = await prepareImage(image, { ...GLM_CONFIG, minPixels: 1 });
    const small = await prepareImage(image, { ...GLM_CONFIG, minPixels: 1 }, { maxPixels: 2 * 28 * 28 });
    expect([small.resizedWidth, small.resizedHeight, small.tokenCount]).toEqual([28, 28, 1]);
    expect(full.tokenCount).toBeGreaterThan(1);
  });

  it('names equal pictures alike and others differently', async () => {
    const { contentHash } = await prepareImage(image, GLM_CONFIG);
    expect(contentHash).toMatch(/^[0-9a-f]{64}$/);

    const copy = createRgbImage(40, 60, image.data.slice());
    expect((await prepareImage(copy, { ...GLM_CONFIG })).contentHash).toBe(contentHash);

    const changed = createRgbImage(40, 60, image.data.with(11, image.data[11]! ^ 1));
    const turned = createRgbImage(60, 40, image.data);
    const others = await Promise.all([
      prepareImage(changed, GLM_CONFIG),
      prepareImage(turned, GLM_CONFIG),
      prepareImage(image, GLM_CONFIG, { maxPixels: 5_000_000 }),
      prepareImage(image, { ...GLM_CONFIG, mean: [0, 0, 0] }),
    ]);
    expect(new Set([contentHash, ...others.map((other) => other.contentHash)]).size).toBe(5);
  });
});

describe('extractPatches', () => {
  it('lists blocks row by row, and inside a block patches row by row', () => {
    // One-pixel patches in a 4 x 6 picture whose red value is the pixel's index.
    const data = Uint8Array.from({ length: 4 * 6 * 3 }, (_, i) => (i % 3 === 0 ? i / 3 : 0));
    const rules = { patchSize: 1, mergeSize: 2, mean: [0, 0, 0], std: [1, 1, 1], rescaleFactor: 1 } as const;
    const patches = extractPatches(createRgbImage(6, 4, data), rules);
    const reds = [...patches].filter((_, index) => index % 3 === 0);
    expect(reds).toEqual([
      0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11, 12, 13, 18, 19, 14, 15, 20, 21, 16, 17, 22, 23,
    ]);
  });

  it('puts channels before rows before columns inside a patch', () => {
    const rules = { patchSize: 2, mergeSize: 1, mean: [0, 0, 0], std: [1, 1, 1], rescaleFactor: 1 } as const;
    const data = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12);
    expect([...extractPatches(createRgbImage(2, 2, data), rules)]).toEqual([
      1, 4, 7, 10, 2, 5, 8, 11, 3, 6, 9, 12,
    ]);
  });

  it('refuses a picture that does not divide into blocks', () => {
    const image = createRgbImage(28, 30, new Uint8Array(28 * 30 * 3));
    expect(() => extractPatches(image, GLM_CONFIG)).toThrow(expect.objectContaining({ code: 'image-size' }));
  });
});
