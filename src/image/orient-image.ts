import type { Orientation } from './exif-orientation.ts';
import { createRgbImage, RGB_CHANNELS } from './rgb-image.ts';
import type { RgbImage } from './rgb-image.ts';

/** The stored pixel that is shown at `x`, `y` of the upright picture, for stored sides less one. */
type ToStored = (x: number, y: number, lastX: number, lastY: number) => readonly [number, number];

/** What each EXIF value means. Source: CIPA DC-008 §4.6.4, "Orientation". */
const TO_STORED: Readonly<Record<Orientation, ToStored>> = {
  1: (x, y) => [x, y],
  2: (x, y, lastX) => [lastX - x, y],
  3: (x, y, lastX, lastY) => [lastX - x, lastY - y],
  4: (x, y, _lastX, lastY) => [x, lastY - y],
  5: (x, y) => [y, x],
  6: (x, y, _lastX, lastY) => [y, lastY - x],
  7: (x, y, lastX, lastY) => [lastX - y, lastY - x],
  8: (x, y, lastX) => [lastX - y, x],
};

/** From this value on rows and columns change places. */
const FIRST_TRANSPOSED = 5;

/** Turns stored pixels upright. */
export function orientImage(image: RgbImage, orientation: Orientation): RgbImage {
  if (orientation === 1) return image;
  const isTransposed = orientation >= FIRST_TRANSPOSED;
  const width = isTransposed ? image.height : image.width;
  const height = isTransposed ? image.width : image.height;
  const toStored = TO_STORED[orientation];
  const data = new Uint8Array(image.data.length);
  let target = 0;
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const [storedX, storedY] = toStored(x, y, image.width - 1, image.height - 1);
      const from = (storedY * image.width + storedX) * RGB_CHANNELS;
      data[target] = image.data[from]!;
      data[target + 1] = image.data[from + 1]!;
      data[target + 2] = image.data[from + 2]!;
      target += RGB_CHANNELS;
    }
  }
  return createRgbImage(width, height, data);
}
