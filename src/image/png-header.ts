import { hasAsciiAt, toDataView } from './byte-view.ts';
import type { HeaderResult } from './image-format.ts';

const SIGNATURE = '\x89PNG\r\n\x1a\n';

/** Bytes of a chunk around its data: length, type, CRC. */
const CHUNK_OVERHEAD = 12;

/** Offset of the first chunk's data, IHDR, and its length. */
const IHDR_OFFSET = 16;
const IHDR_LENGTH = 13;

/** Bit of the colour type that announces an alpha channel. */
const ALPHA_BIT = 4;

/** Size limit of the format. */
const MAX_CHUNK_LENGTH = 0x7fff_ffff;

export function isPng(bytes: Uint8Array): boolean {
  return hasAsciiAt(bytes, 0, SIGNATURE);
}

/** Reads IHDR and walks the chunks to IEND. Source: W3C PNG, third edition, §5 and §11. */
export function readPngHeader(bytes: Uint8Array): HeaderResult {
  if (bytes.length < IHDR_OFFSET + IHDR_LENGTH) return { fault: 'is truncated in its header' };
  if (!hasAsciiAt(bytes, IHDR_OFFSET - 4, 'IHDR')) return { fault: 'does not begin with an IHDR chunk' };
  const view = toDataView(bytes);
  const colourType = view.getUint8(IHDR_OFFSET + 9);
  let hasTransparentColour = false;
  for (let offset = SIGNATURE.length; offset + CHUNK_OVERHEAD <= bytes.length;) {
    const length = view.getUint32(offset);
    if (length > MAX_CHUNK_LENGTH) return { fault: `has a damaged chunk at byte ${offset}` };
    if (hasAsciiAt(bytes, offset + 4, 'tRNS')) hasTransparentColour = true;
    if (hasAsciiAt(bytes, offset + 4, 'IEND')) {
      return {
        width: view.getUint32(IHDR_OFFSET),
        height: view.getUint32(IHDR_OFFSET + 4),
        hasAlpha: (colourType & ALPHA_BIT) !== 0 || hasTransparentColour,
        isCmyk: false,
      };
    }
    offset += CHUNK_OVERHEAD + length;
  }
  return { fault: `is truncated: it ends at byte ${bytes.length} before its IEND chunk` };
}
