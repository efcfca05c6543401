import type sharpFunction from 'sharp';
import { AutoglmError } from '../base/errors.ts';
import { inspectImage } from './decode-image.ts';
import type { DecodeImage } from './decode-image.ts';
import { undecodable } from './image-header.ts';
import { createRgbImage, RGB_CHANNELS } from './rgb-image.ts';
import type { RgbImage } from './rgb-image.ts';

/** Decodes with sharp; Node only. */
export const decodeWithSharp: DecodeImage = async (bytes, options) => {
  inspectImage(bytes, options);
  const sharp = await loadSharp();
  try {
    const { data, info } = await sharp(bytes, {
      failOn: 'warning',
      ignoreIcc: true,
      // The header's size was checked already, against the caller's limit.
      limitInputPixels: false,
    })
      .autoOrient()
      .removeAlpha()
      .toColourspace('srgb')
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true });
    return toRgb(info.width, info.height, data, info.channels);
  } catch (cause) {
    throw undecodable(bytes, cause instanceof Error ? cause.message.trim() : 'the decoder failed', cause);
  }
};

/** sharp gives pictures without colour as one channel. */
function toRgb(width: number, height: number, samples: Uint8Array, channels: number): RgbImage {
  if (channels === RGB_CHANNELS) return createRgbImage(width, height, new Uint8Array(samples));
  const data = new Uint8Array(width * height * RGB_CHANNELS);
  for (let pixel = 0; pixel < width * height; pixel += 1) {
    data.fill(samples[pixel * channels]!, pixel * RGB_CHANNELS, (pixel + 1) * RGB_CHANNELS);
  }
  return createRgbImage(width, height, data);
}

async function loadSharp(): Promise<typeof sharpFunction> {
  try {
    return (await import('sharp')).default;
  } catch (cause) {
    throw new AutoglmError('usage', 'Cannot decode images in Node without the package "sharp".', {
      value: 'sharp',
      cure: 'Run `npm install sharp`.',
      cause,
    });
  }
}
