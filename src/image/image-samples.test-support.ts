import sharp from 'sharp';
import type { Sharp } from 'sharp';

/** An encoded picture for the decoders' tests. */
export interface ImageSample {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** Odd sides, not square: a swapped axis or a wrong stride shows. */
export const SAMPLE_WIDTH = 67;
export const SAMPLE_HEIGHT = 45;

const EXIF_ORIENTATIONS = [1, 2, 3, 4, 5, 6, 7, 8] as const;

/** Smooth colours, so that lossy formats stay near, and an alpha that takes all 256 values. */
export function createSamplePixels(channels: 3 | 4): Uint8Array {
  const data = new Uint8Array(SAMPLE_WIDTH * SAMPLE_HEIGHT * channels);
  for (let pixel = 0; pixel < SAMPLE_WIDTH * SAMPLE_HEIGHT; pixel += 1) {
    const x = pixel % SAMPLE_WIDTH;
    const y = Math.floor(pixel / SAMPLE_WIDTH);
    data.set([x * 3 + 20, 250 - y * 5, x + y * 2, pixel % 256].slice(0, channels), pixel * channels);
  }
  return data;
}

/** A pipeline over the sample pixels, to be encoded. */
export function openSample(channels: 3 | 4): Sharp {
  return sharp(createSamplePixels(channels), {
    raw: { width: SAMPLE_WIDTH, height: SAMPLE_HEIGHT, channels },
  });
}

/** Files that keep every value of `createSamplePixels`, whatever their alpha. */
export async function createLosslessSamples(): Promise<ImageSample[]> {
  return encodeAll([
    ['png', openSample(3).png()],
    ['png, interlaced', openSample(3).png({ progressive: true })],
    ['png with alpha', openSample(4).png()],
    ['png of 16 bits', openSample(3).toColourspace('rgb16').png()],
    ['png with a profile', openSample(3).withIccProfile('srgb').png()],
    ['webp', openSample(3).webp({ lossless: true })],
    ['webp with alpha', openSample(4).webp({ lossless: true, exact: true })],
  ]);
}

/** Files that lose values or colour on the way in. */
export async function createOtherSamples(): Promise<ImageSample[]> {
  return encodeAll([
    ['png of a palette', openSample(3).png({ palette: true })],
    ['png of a palette with alpha', openSample(4).png({ palette: true })],
    ['png in grey', openSample(3).toColourspace('b-w').png()],
    ['png in grey of 16 bits', openSample(3).toColourspace('grey16').png()],
    ['png in grey with alpha', openSample(4).toColourspace('b-w').png()],
    ['jpeg', openSample(3).jpeg({ quality: 95, chromaSubsampling: '4:4:4' })],
    ['jpeg, subsampled', openSample(3).jpeg({ quality: 90 })],
    ['jpeg, progressive', openSample(3).jpeg({ progressive: true, quality: 95 })],
    ['jpeg in grey', openSample(3).toColourspace('b-w').jpeg()],
    ['jpeg in CMYK', openSample(3).toColourspace('cmyk').jpeg({ quality: 95 })],
    ['jpeg with a wide profile', openSample(3).withIccProfile('p3').jpeg({ quality: 95 })],
    ['webp, lossy', openSample(3).webp({ quality: 90 })],
    ['webp, lossy, with alpha', openSample(4).webp({ quality: 90 })],
  ]);
}

/** The same stored pixels under every EXIF orientation, in every format. */
export async function createOrientedSamples(): Promise<ImageSample[]> {
  return encodeAll(
    EXIF_ORIENTATIONS.flatMap((orientation): [string, Sharp][] => {
      const oriented = () => openSample(3).withMetadata({ orientation });
      return [
        [`jpeg, EXIF ${orientation}`, oriented().jpeg({ quality: 95, chromaSubsampling: '4:4:4' })],
        [`png, EXIF ${orientation}`, oriented().png()],
        [`webp, EXIF ${orientation}`, oriented().webp({ lossless: true })],
      ];
    }),
  );
}

/** Longer than a tile of `toTiles`, one in each direction, with every alpha. */
export async function createLargeTransparentSamples(): Promise<ImageSample[]> {
  return encodeAll([
    ['png wider than a tile, with alpha', openGradient(2100, 40).png()],
    ['png higher than a tile, with alpha', openGradient(40, 2100).png()],
  ]);
}

function openGradient(width: number, height: number): Sharp {
  const channels = 4;
  const data = new Uint8Array(width * height * channels);
  for (let pixel = 0; pixel < width * height; pixel += 1) {
    const x = pixel % width;
    const y = Math.floor(pixel / width);
    data.set([x & 255, y & 255, (x >> 4) + (y >> 4), (x + y) & 255], pixel * channels);
  }
  return sharp(data, { raw: { width, height, channels } });
}

function encodeAll(pipelines: readonly (readonly [string, Sharp])[]): Promise<ImageSample[]> {
  return Promise.all(
    pipelines.map(async ([name, pipeline]) => ({ name, bytes: new Uint8Array(await pipeline.toBuffer()) })),
  );
}
