import { inspectImage } from './decode-image.ts';
import type { DecodeImage } from './decode-image.ts';
import type { Orientation } from './exif-orientation.ts';
import { FORMAT_NAMES } from './image-format.ts';
import type { ImageFormat } from './image-format.ts';
import { undecodable } from './image-header.ts';
import { orientImage } from './orient-image.ts';
import { readPixels } from './read-bitmap.ts';
import { createRgbImage } from './rgb-image.ts';
import { takeWebpOrientation } from './webp-orientation.ts';

/** The header says which decoder is meant; the browser would otherwise go by this type or by its own guess. */
const MEDIA_TYPES = { png: 'image/png', jpeg: 'image/jpeg', webp: 'image/webp' } as const;

/** Of JPEG and PNG, which browsers turn themselves. */
const UPRIGHT: Orientation = 1;

/** Decodes with the browser's own decoders; in pages and in workers. */
export const decodeWithPlatform: DecodeImage = async (bytes, options) => {
  const header = inspectImage(bytes, options);
  const file = header.format === 'webp' ? takeWebpOrientation(bytes) : { bytes, orientation: UPRIGHT };
  const bitmap = await openBitmap(file.bytes, header.format);
  try {
    const data = readPixels(bitmap, header.hasAlpha);
    return orientImage(createRgbImage(bitmap.width, bitmap.height, data), file.orientation);
  } finally {
    bitmap.close();
  }
};

async function openBitmap(bytes: Uint8Array, format: ImageFormat): Promise<ImageBitmap> {
  const blob = new Blob([bytes as Uint8Array<ArrayBuffer>], { type: MEDIA_TYPES[format] });
  try {
    return await createImageBitmap(blob, {
      imageOrientation: 'from-image',
      colorSpaceConversion: 'none',
      premultiplyAlpha: 'none',
    });
  } catch (cause) {
    throw undecodable(bytes, `the browser cannot read this ${FORMAT_NAMES[format]} file`, cause);
  }
}
