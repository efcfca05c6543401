import { describe, expect, it } from 'vitest';
import { decodeWithSharp } from './decode-node.ts';
import {
  createLosslessSamples,
  createOrientedSamples,
  createOtherSamples,
  createSamplePixels,
  openSample,
  SAMPLE_HEIGHT,
  SAMPLE_WIDTH,
} from './image-samples.test-support.ts';
import type { RgbImage } from './rgb-image.ts';

const PIXELS = createSamplePixels(3);

/** Where the stored pixel 0, 0 is shown under each EXIF orientation: right edge?, bottom edge? */
const ORIGIN_IS_AT: Readonly<Record<string, readonly [boolean, boolean]>> = {
  1: [false, false],
  2: [true, false],
  3: [true, true],
  4: [false, true],
  5: [false, false],
  6: [true, false],
  7: [true, true],
  8: [false, true],
};

const LOSSLESS = await createLosslessSamples();
const ORIENTED = await createOrientedSamples();
const OTHER = await createOtherSamples();

function getPixel(image: RgbImage, x: number, y: number): number[] {
  const offset = (y * image.width + x) * 3;
  return [...image.data.subarray(offset, offset + 3)];
}

function greatestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  return Array.from(a).reduce((most, value, index) => Math.max(most, Math.abs(value - b[index]!)), 0);
}

describe('decodeWithSharp', () => {
  it.each(LOSSLESS)('keeps every colour of a $name', async ({ bytes }) => {
    const image = await decodeWithSharp(bytes);
    expect([image.width, image.height]).toEqual([SAMPLE_WIDTH, SAMPLE_HEIGHT]);
    expect(greatestDifference(image.data, PIXELS)).toBe(0);
  });

  it.each(OTHER)('gives three channels for a $name', async ({ bytes }) => {
    const image = await decodeWithSharp(bytes);
    expect(image.data).toHaveLength(SAMPLE_WIDTH * SAMPLE_HEIGHT * 3);
    expect(image.data).toBeInstanceOf(Uint8Array);
  });

  it.each(OTHER.filter(({ name }) => /^(jpeg|jpeg, .*|webp, .*)$/.test(name)))(
    'stays near the colours of a $name',
    async ({ bytes }) => {
      expect(greatestDifference((await decodeWithSharp(bytes)).data, PIXELS)).toBeLessThanOrEqual(8);
    },
  );

  it.each(OTHER.filter(({ name }) => name.includes('grey')))(
    'repeats the grey of a $name',
    async ({ bytes }) => {
      const { data } = await decodeWithSharp(bytes);
      expect(data.every((value, index) => value === data[index - (index % 3)])).toBe(true);
      expect(new Set(data).size).toBeGreaterThan(50);
    },
  );

  it.each(ORIENTED)('turns a $name upright', async ({ name, bytes }) => {
    const orientation = name.at(-1)!;
    const image = await decodeWithSharp(bytes);
    const isTransposed = Number(orientation) >= 5;
    const sides = [SAMPLE_WIDTH, SAMPLE_HEIGHT];
    expect([image.width, image.height]).toEqual(isTransposed ? sides.toReversed() : sides);

    const [isRight, isBottom] = ORIGIN_IS_AT[orientation]!;
    const x = isRight ? image.width - 1 : 0;
    const y = isBottom ? image.height - 1 : 0;
    expect(greatestDifference(getPixel(image, x, y), PIXELS.subarray(0, 3))).toBeLessThanOrEqual(4);
  });

  it('gives the colours under transparent pixels, not their blend with a background', async () => {
    const bytes = await openSample(4).png().toBuffer();
    const { data } = await decodeWithSharp(bytes);
    expect([...data.subarray(0, 3)]).toEqual([...PIXELS.subarray(0, 3)]); // alpha 0
  });

  it('does not apply an embedded profile', async () => {
    const wide = OTHER.find(({ name }) => name === 'jpeg with a wide profile')!;
    const { data } = await decodeWithSharp(wide.bytes);
    // Display P3 stores sRGB's colours with other numbers; applying the profile would bring them back.
    expect(greatestDifference(data, PIXELS)).toBeGreaterThan(8);
  });

  it.each(LOSSLESS.filter(({ name }) => name.startsWith('png')))(
    'refuses a $name with damaged pixels',
    async ({ bytes }) => {
      const middle = Math.floor(bytes.length / 2);
      const damaged = bytes.with(middle, bytes[middle]! ^ 0x5a).with(middle + 1, bytes[middle + 1]! ^ 0x5a);
      await expect(decodeWithSharp(damaged)).rejects.toMatchObject({
        code: 'image-undecodable',
        value: { type: 'a PNG file' },
      });
    },
  );

  it('refuses a text file', async () => {
    const bytes = new TextEncoder().encode('not an image');
    await expect(decodeWithSharp(bytes)).rejects.toMatchObject({ code: 'image-undecodable' });
  });

  it('refuses more pixels than allowed', async () => {
    await expect(decodeWithSharp(LOSSLESS[0]!.bytes, { maxDecodedPixels: 100 })).rejects.toMatchObject({
      code: 'image-size',
      limit: 100,
    });
  });
});
