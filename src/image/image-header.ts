import { AutoglmError } from '../base/errors.ts';
import { describeBytes } from './describe-bytes.ts';
import { FORMAT_NAMES } from './image-format.ts';
import type { ImageHeader } from './image-format.ts';
import { isJpeg, readJpegHeader } from './jpeg-header.ts';
import { isPng, readPngHeader } from './png-header.ts';
import { isWebp, readWebpHeader } from './webp-header.ts';

const READERS = [
  ['png', isPng, readPngHeader],
  ['jpeg', isJpeg, readJpegHeader],
  ['webp', isWebp, readWebpHeader],
] as const;

/**
 * Reads the header of a PNG, JPEG or WebP file and checks that the file reaches its own end, since some
 * decoders fill what is missing with grey and report success.
 *
 * @throws AutoglmError `image-undecodable` for another format or a damaged or truncated file, with the
 *   file's first bytes as `value`.
 */
export function readImageHeader(bytes: Uint8Array): ImageHeader {
  for (const [format, isFormat, readHeader] of READERS) {
    if (!isFormat(bytes)) continue;
    const result = readHeader(bytes);
    if ('fault' in result) throw undecodable(bytes, `the ${FORMAT_NAMES[format]} file ${result.fault}`);
    if (result.width < 1 || result.height < 1) {
      throw undecodable(bytes, `the ${FORMAT_NAMES[format]} file has no area`);
    }
    return { format, ...result };
  }
  throw undecodable(bytes, `it is ${describeBytes(bytes).type}`);
}

/** The error for bytes that are no picture; `reason` completes "Cannot decode the image:". */
export function undecodable(bytes: Uint8Array, reason: string, cause?: unknown): AutoglmError {
  return new AutoglmError('image-undecodable', `Cannot decode the image: ${reason}.`, {
    value: describeBytes(bytes),
    limit: 'a whole PNG, JPEG or WebP file',
    cure: 'Save the picture as PNG, JPEG or WebP and attach it again.',
    cause,
  });
}
