import { AutoglmError } from '../base/errors.ts';
import type { ImageHeader } from './image-format.ts';
import { readImageHeader } from './image-header.ts';
import type { RgbImage } from './rgb-image.ts';

/** Options of a `DecodeImage`. */
export interface DecodeOptions {
  /** Greatest width times height. Default: `DEFAULT_MAX_DECODED_PIXELS`. */
  readonly maxDecodedPixels?: number | undefined;
}

/** Above any phone screen and most photographs; decoded, this many pixels take 192 MB. */
export const DEFAULT_MAX_DECODED_PIXELS = 64_000_000;

/**
 * Decodes a whole PNG, JPEG or WebP file to upright 8-bit RGB without alpha.
 *
 * `decodeWithPlatform` does it in pages and workers, `decodeWithSharp` in Node. An embedded colour profile is
 * not applied, as in the reference preprocessing; of an animation the first frame is taken.
 *
 * @throws AutoglmError `image-undecodable` with the file's first bytes, `image-size` above the limit, before
 *   any pixel is decoded.
 */
export type DecodeImage = (bytes: Uint8Array, options?: DecodeOptions) => Promise<RgbImage>;

/**
 * Reads the header and refuses what must not be decoded.
 *
 * @throws AutoglmError as `DecodeImage` does.
 */
export function inspectImage(bytes: Uint8Array, options: DecodeOptions = {}): ImageHeader {
  const limit = options.maxDecodedPixels ?? DEFAULT_MAX_DECODED_PIXELS;
  const header = readImageHeader(bytes);
  const pixels = header.width * header.height;
  if (pixels <= limit) return header;
  throw new AutoglmError(
    'image-size',
    `Cannot decode an image of ${header.width} x ${header.height} pixels: ${pixels} are above ${limit}.`,
    { value: pixels, limit, cure: 'Attach a smaller picture; a screenshot is large enough.' },
  );
}
