import { hasAsciiAt, toDataView } from './byte-view.ts';
import type { HeaderResult, ImageHeader } from './image-format.ts';

const MARKER = 0xff;
const START_OF_SCAN = 0xda;
const END_OF_IMAGE = 0xd9;
const CMYK_COMPONENTS = 4;

type Frame = Pick<ImageHeader, 'width' | 'height' | 'isCmyk'>;

export function isJpeg(bytes: Uint8Array): boolean {
  return hasAsciiAt(bytes, 0, '\xff\xd8\xff');
}

/**
 * Walks the segments to the frame header and the first scan, then looks for the end marker: inside a scan
 * the byte 0xFF is never followed by it. Source: ITU-T T.81, annex B.
 */
export function readJpegHeader(bytes: Uint8Array): HeaderResult {
  const view = toDataView(bytes);
  let frame: Frame | undefined;
  let offset = 2;
  while (offset + 4 <= bytes.length) {
    if (bytes[offset] !== MARKER) return { fault: `has a damaged segment at byte ${offset}` };
    const marker = bytes[offset + 1]!;
    if (marker === MARKER) {
      offset += 1; // fill byte
      continue;
    }
    const length = view.getUint16(offset + 2);
    if (length < 2) return { fault: `has a damaged segment at byte ${offset}` };
    if (isFrameHeader(marker) && offset + 10 <= bytes.length) {
      frame = {
        width: view.getUint16(offset + 7),
        height: view.getUint16(offset + 5),
        isCmyk: view.getUint8(offset + 9) === CMYK_COMPONENTS,
      };
    }
    offset += 2 + length;
    if (marker !== START_OF_SCAN) continue;
    if (frame === undefined) return { fault: 'has no frame header' };
    if (hasEndMarker(bytes, offset)) return { ...frame, hasAlpha: false };
    return { fault: `is truncated: it ends at byte ${bytes.length} without an end marker` };
  }
  return { fault: 'is truncated in its header' };
}

/** SOF0 to SOF15; three codes between them mean other things (DHT, JPG, DAC). */
function isFrameHeader(marker: number): boolean {
  return marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc;
}

function hasEndMarker(bytes: Uint8Array, from: number): boolean {
  let at = bytes.indexOf(MARKER, from);
  while (at >= 0 && at + 1 < bytes.length) {
    if (bytes[at + 1] === END_OF_IMAGE) return true;
    at = bytes.indexOf(MARKER, at + 1);
  }
  return false;
}
