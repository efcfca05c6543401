import { RGB_CHANNELS } from './rgb-image.ts';

const CMYK_CHANNELS = 4;
const FULL = 255;

/**
 * Inks to light as PIL's `convert("RGB")` and browsers do it, without a colour profile.
 *
 * Source: Pillow, `cmyk2rgb` in `src/libImaging/Convert.c`.
 *
 * @param inks `[pixels, 4]`: cyan, magenta, yellow, black; 0 = none.
 * @returns `[pixels, 3]`.
 */
export function convertCmykToRgb(inks: Uint8Array): Uint8Array {
  const pixelCount = inks.length / CMYK_CHANNELS;
  const data = new Uint8Array(pixelCount * RGB_CHANNELS);
  for (let pixel = 0; pixel < pixelCount; pixel += 1) {
    const from = pixel * CMYK_CHANNELS;
    const light = FULL - inks[from + 3]!;
    for (let channel = 0; channel < RGB_CHANNELS; channel += 1) {
      const absorbed = divideBy255(inks[from + channel]! * light);
      data[pixel * RGB_CHANNELS + channel] = Math.max(light - absorbed, 0);
    }
  }
  return data;
}

/** Rounded division, in Pillow's integer form. */
function divideBy255(product: number): number {
  const shifted = product + 128;
  return ((shifted >> 8) + shifted) >> 8;
}
