import { inspectImage } from './decode-image.ts';
import type { DecodeImage } from './decode-image.ts';
import type { ImageHeader } from './image-format.ts';
import { undecodable } from './image-header.ts';
import { readPixels } from './read-bitmap.ts';
import { createRgbImage } from './rgb-image.ts';

/** The header says which decoder is meant; the browser would otherwise go by this type or by its own guess. */
const MEDIA_TYPES = { png: 'image/png', jpeg: 'image/jpeg', webp: 'image/webp' } as const;

/** Decodes with the browser's own decoders; in pages and in workers. */
export const decodeWithPlatform: DecodeImage = async (bytes, options) => {
  const header = inspectImage(bytes, options);
  const bitmap = await openBitmap(bytes, header);
  try {
    const { width, height } = bitmap;
    return createRgbImage(width, height, readPixels(bitmap, header.hasAlpha));
  } finally {
    bitmap.close();
  }
};

async function openBitmap(bytes: Uint8Array, header: ImageHeader): Promise<ImageBitmap> {
  const blob = new Blob([bytes as Uint8Array<ArrayBuffer>], { type: MEDIA_TYPES[header.format] });
  try {
    return await createImageBitmap(blob, {
      imageOrientation: 'from-image',
      colorSpaceConversion: 'none',
      premultiplyAlpha: 'none',
    });
  } catch (cause) {
    throw undecodable(bytes, `the browser cannot read this ${header.format.toUpperCase()} file`, cause);
  }
}
