import { RGB_CHANNELS } from './rgb-image.ts';

/** Samples a pixel has with alpha. */
export const RGBA_CHANNELS = 4;

/**
 * Side of the tiles in which browsers hand pixels over: below the limits of every canvas, iOS included, and of
 * every WebGL 2 texture.
 */
const TILE_SIDE = 2048;

/** A part of a picture, in pixels. */
export interface PixelRegion {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** Tiles that cover a picture, row by row. */
export function* toTiles(width: number, height: number): Generator<PixelRegion> {
  for (let y = 0; y < height; y += TILE_SIDE) {
    for (let x = 0; x < width; x += TILE_SIDE) {
      yield { x, y, width: Math.min(TILE_SIDE, width - x), height: Math.min(TILE_SIDE, height - y) };
    }
  }
}

/**
 * Copies a region's colours into a picture, dropping alpha.
 *
 * @param samples `[region.height, region.width, 4]`.
 * @param target `[.., targetWidth, 3]`.
 */
export function copyRgb(
  samples: Uint8Array | Uint8ClampedArray,
  region: PixelRegion,
  target: Uint8Array,
  targetWidth: number,
): void {
  let from = 0;
  for (let row = 0; row < region.height; row += 1) {
    let to = ((region.y + row) * targetWidth + region.x) * RGB_CHANNELS;
    for (const end = from + region.width * RGBA_CHANNELS; from < end; from += RGBA_CHANNELS) {
      target[to] = samples[from]!;
      target[to + 1] = samples[from + 1]!;
      target[to + 2] = samples[from + 2]!;
      to += RGB_CHANNELS;
    }
  }
}
