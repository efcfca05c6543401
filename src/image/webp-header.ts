import { hasAsciiAt, toDataView } from './byte-view.ts';
import type { HeaderResult } from './image-format.ts';

/** Offset of the first chunk's type; its data follows after type and length. */
const CHUNK_OFFSET = 12;
const DATA_OFFSET = 20;
const LARGEST_HEADER = 10;

export function isWebp(bytes: Uint8Array): boolean {
  return hasAsciiAt(bytes, 0, 'RIFF') && hasAsciiAt(bytes, 8, 'WEBP');
}

/** Reads the lossy, lossless or extended header. Source: RFC 9649, §2 and §3. */
export function readWebpHeader(bytes: Uint8Array): HeaderResult {
  const view = toDataView(bytes);
  if (bytes.length < DATA_OFFSET + LARGEST_HEADER) return { fault: 'is truncated in its header' };
  const byteLength = view.getUint32(4, true) + 8;
  if (byteLength > bytes.length) {
    return { fault: `is truncated: it has ${bytes.length} of ${byteLength} bytes` };
  }
  if (hasAsciiAt(bytes, CHUNK_OFFSET, 'VP8X')) return readExtended(view);
  if (hasAsciiAt(bytes, CHUNK_OFFSET, 'VP8L')) return readLossless(view);
  if (hasAsciiAt(bytes, CHUNK_OFFSET, 'VP8 ')) return readLossy(view);
  return { fault: 'has no VP8 chunk' };
}

function readExtended(view: DataView): HeaderResult {
  const flags = view.getUint8(DATA_OFFSET);
  const side = (offset: number) =>
    1 + view.getUint16(DATA_OFFSET + offset, true) + view.getUint8(DATA_OFFSET + offset + 2) * 0x1_0000;
  return { width: side(4), height: side(7), hasAlpha: (flags & 0x10) !== 0, isCmyk: false };
}

/** 14 bits each of width and height less one, then one bit for alpha. */
function readLossless(view: DataView): HeaderResult {
  if (view.getUint8(DATA_OFFSET) !== 0x2f) return { fault: 'has a damaged VP8L chunk' };
  const bits = view.getUint32(DATA_OFFSET + 1, true);
  return {
    width: (bits & 0x3fff) + 1,
    height: ((bits >>> 14) & 0x3fff) + 1,
    hasAlpha: ((bits >>> 28) & 1) === 1,
    isCmyk: false,
  };
}

/** A frame tag of 3 bytes and a start code of 3, then 14 bits of width and of height with 2 of scale. */
function readLossy(view: DataView): HeaderResult {
  return {
    width: view.getUint16(DATA_OFFSET + 6, true) & 0x3fff,
    height: view.getUint16(DATA_OFFSET + 8, true) & 0x3fff,
    hasAlpha: false,
    isCmyk: false,
  };
}
