import { hasAsciiAt, toDataView } from './byte-view.ts';
import { findOrientation } from './exif-orientation.ts';
import type { Orientation } from './exif-orientation.ts';

const FIRST_CHUNK = 12;
const CHUNK_HEADER = 8;

/** Some writers put JPEG's prefix before the TIFF header. */
const JPEG_PREFIX = 'Exif\0\0';

const UPRIGHT = 1;

/**
 * Takes the EXIF orientation out of a WebP file.
 *
 * Chromium ignores it there while other decoders turn the picture. Without it all of them agree, and the
 * caller turns the pixels.
 *
 * @returns the file, copied only where it had to be changed, and how its pixels must be turned.
 */
export function takeWebpOrientation(bytes: Uint8Array): {
  readonly bytes: Uint8Array;
  readonly orientation: Orientation;
} {
  const exif = findExifChunk(bytes);
  const entry = exif && findOrientation(bytes, exif.start, exif.end);
  if (entry === undefined || entry.orientation === UPRIGHT) return { bytes, orientation: UPRIGHT };
  const copy = bytes.slice();
  toDataView(copy).setUint16(entry.offset, UPRIGHT, entry.isLittleEndian);
  return { bytes: copy, orientation: entry.orientation };
}

/** Bounds of the TIFF data in the EXIF chunk. Source: RFC 9649, §2.7.1.5. */
function findExifChunk(bytes: Uint8Array): { start: number; end: number } | undefined {
  const view = toDataView(bytes);
  for (let offset = FIRST_CHUNK; offset + CHUNK_HEADER <= bytes.length;) {
    const length = view.getUint32(offset + 4, true);
    const data = offset + CHUNK_HEADER;
    if (hasAsciiAt(bytes, offset, 'EXIF')) {
      const start = hasAsciiAt(bytes, data, JPEG_PREFIX) ? data + JPEG_PREFIX.length : data;
      return { start, end: Math.min(data + length, bytes.length) };
    }
    offset = data + length + (length % 2);
  }
  return undefined;
}
