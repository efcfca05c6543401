import { describe, expect, it } from 'vitest';
import { decodeWithSharp } from './decode-node.ts';
import {
  createOrientedSamples,
  createSamplePixels,
  SAMPLE_HEIGHT,
  SAMPLE_WIDTH,
} from './image-samples.test-support.ts';
import { orientImage } from './orient-image.ts';
import { createRgbImage } from './rgb-image.ts';
import { takeWebpOrientation } from './webp-orientation.ts';

const WEBP_SAMPLES = (await createOrientedSamples()).filter(({ name }) => name.startsWith('webp'));

describe('takeWebpOrientation', () => {
  it.each(WEBP_SAMPLES)('takes it out of a $name', async ({ name, bytes }) => {
    const before = bytes.slice();
    const taken = takeWebpOrientation(bytes);
    expect(taken.orientation).toBe(Number(name.at(-1)));
    expect(bytes).toEqual(before);
    expect(takeWebpOrientation(taken.bytes).orientation).toBe(1);

    const stored = await decodeWithSharp(taken.bytes);
    expect(stored.data).toEqual(createSamplePixels(3));
  });

  it.each(WEBP_SAMPLES)('survives damage to any byte of a $name', ({ bytes }) => {
    for (let index = 12; index < bytes.length; index += 1) {
      const { orientation } = takeWebpOrientation(bytes.with(index, 0xff));
      expect(orientation).toBeGreaterThanOrEqual(1);
      expect(orientation).toBeLessThanOrEqual(8);
    }
  });
});

describe('orientImage', () => {
  const stored = createRgbImage(SAMPLE_WIDTH, SAMPLE_HEIGHT, createSamplePixels(3));

  it.each(WEBP_SAMPLES)('turns as sharp does for a $name', async ({ bytes }) => {
    const { orientation } = takeWebpOrientation(bytes);
    expect(orientImage(stored, orientation)).toEqual(await decodeWithSharp(bytes));
  });
});
