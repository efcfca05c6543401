import { AutoglmError } from '../base/errors.ts';

/** Samples a pixel of an `RgbImage` has. */
export const RGB_CHANNELS = 3;

/**
 * A decoded picture: 8-bit sRGB, upright, without alpha.
 *
 * Alpha is dropped, never blended, as PIL's `convert("RGB")` does: the reference preprocessing sees the
 * colour that the file stores under a transparent pixel.
 */
export interface RgbImage {
  /** Pixels. */
  readonly width: number;
  /** Pixels. */
  readonly height: number;
  /** `[height, width, 3]`, interleaved. */
  readonly data: Uint8Array;
}

/**
 * Wraps pixels after checking that their number fits the size.
 *
 * @throws AutoglmError `image-size` for sides that are no positive integers or data of another length.
 */
export function createRgbImage(width: number, height: number, data: Uint8Array): RgbImage {
  checkImageSize(width, height);
  const expected = width * height * RGB_CHANNELS;
  if (data.length !== expected) {
    throw new AutoglmError(
      'image-size',
      `An RGB image of ${width} x ${height} needs ${expected} bytes but ${data.length} were given.`,
      { value: data.length, limit: expected, cure: 'Pass 3 interleaved bytes a pixel, without alpha.' },
    );
  }
  return { width, height, data };
}

/**
 * Refuses sides that are no positive integers.
 *
 * @throws AutoglmError `image-size`.
 */
export function checkImageSize(width: number, height: number): void {
  if (Number.isInteger(width) && Number.isInteger(height) && width > 0 && height > 0) return;
  throw new AutoglmError('image-size', `An image of ${width} x ${height} pixels has no area.`, {
    value: { width, height },
    limit: 'sides of at least one whole pixel',
    cure: 'Pass an image that has pixels.',
  });
}
