import { AutoglmError } from '../base/errors.ts';
import { copyRgb, RGBA_CHANNELS, toTiles } from './pixel-region.ts';
import type { PixelRegion } from './pixel-region.ts';
import { readTransparentPixels } from './read-transparent-bitmap.ts';
import { RGB_CHANNELS } from './rgb-image.ts';

const OPAQUE = 255;

/**
 * Reads a bitmap's colours without alpha.
 *
 * A 2D canvas keeps colours multiplied by alpha, which loses those under transparent pixels. So where a
 * picture does have such pixels, a WebGL texture is read back instead.
 *
 * @param bitmap Made with `premultiplyAlpha: 'none'`.
 * @param mayBeTransparent False when the file has no alpha channel.
 * @returns `[height, width, 3]`.
 */
export function readPixels(bitmap: ImageBitmap, mayBeTransparent: boolean): Uint8Array<ArrayBuffer> {
  return readWithCanvas(bitmap, mayBeTransparent) ?? readTransparentPixels(bitmap);
}

/** Undefined when a pixel is not opaque. */
function readWithCanvas(bitmap: ImageBitmap, mayBeTransparent: boolean): Uint8Array<ArrayBuffer> | undefined {
  const data = new Uint8Array(bitmap.width * bitmap.height * RGB_CHANNELS);
  for (const tile of toTiles(bitmap.width, bitmap.height)) {
    const samples = readTile(bitmap, tile);
    if (mayBeTransparent && !isOpaque(samples)) return undefined;
    copyRgb(samples, tile, data, bitmap.width);
  }
  return data;
}

function readTile(bitmap: ImageBitmap, { x, y, width, height }: PixelRegion): Uint8ClampedArray {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext('2d', { willReadFrequently: true, colorSpace: 'srgb' });
  if (context === null) {
    throw new AutoglmError('image-size', `Cannot open a canvas of ${width} x ${height} pixels.`, {
      value: { width, height },
      cure: 'Close other pages to free memory and try again.',
    });
  }
  context.drawImage(bitmap, -x, -y);
  return context.getImageData(0, 0, width, height).data;
}

function isOpaque(samples: Uint8ClampedArray): boolean {
  for (let alpha = RGBA_CHANNELS - 1; alpha < samples.length; alpha += RGBA_CHANNELS) {
    if (samples[alpha] !== OPAQUE) return false;
  }
  return true;
}
