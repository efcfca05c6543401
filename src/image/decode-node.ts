import type { OutputInfo, Sharp } from 'sharp';
import type sharpFunction from 'sharp';
import { AutoglmError } from '../base/errors.ts';
import { convertCmykToRgb } from './cmyk-to-rgb.ts';
import { inspectImage } from './decode-image.ts';
import type { DecodeImage } from './decode-image.ts';
import { undecodable } from './image-header.ts';
import { createRgbImage, RGB_CHANNELS } from './rgb-image.ts';

/** Decodes with sharp; Node only. */
export const decodeWithSharp: DecodeImage = async (bytes, options) => {
  const { isCmyk } = inspectImage(bytes, options);
  const sharp = await loadSharp();
  const upright = sharp(bytes, {
    failOn: 'warning',
    ignoreIcc: true,
    // The header's size was checked already, against the caller's limit.
    limitInputPixels: false,
  }).autoOrient();
  // libvips turns inks into light through a press profile of its own; the reference uses plain arithmetic.
  const colours = isCmyk
    ? upright.pipelineColourspace('cmyk').toColourspace('cmyk')
    : upright.removeAlpha().toColourspace('srgb');
  const { data, info } = await readRaw(colours, bytes);
  const rgb = isCmyk ? convertCmykToRgb(data) : toRgb(data, info.channels);
  return createRgbImage(info.width, info.height, rgb);
};

async function readRaw(colours: Sharp, bytes: Uint8Array): Promise<{ data: Uint8Array; info: OutputInfo }> {
  try {
    return await colours.raw({ depth: 'uchar' }).toBuffer({ resolveWithObject: true });
  } catch (cause) {
    throw undecodable(bytes, cause instanceof Error ? cause.message.trim() : 'the decoder failed', cause);
  }
}

/** sharp gives pictures without colour as one channel. */
function toRgb(samples: Uint8Array, channels: number): Uint8Array {
  if (channels === RGB_CHANNELS) return new Uint8Array(samples);
  const pixelCount = samples.length / channels;
  const data = new Uint8Array(pixelCount * RGB_CHANNELS);
  for (let pixel = 0; pixel < pixelCount; pixel += 1) {
    data.fill(samples[pixel * channels]!, pixel * RGB_CHANNELS, (pixel + 1) * RGB_CHANNELS);
  }
  return data;
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
