import { hasAsciiAt, toDataView } from './byte-view.ts';

/** How stored pixels must be turned: the EXIF values 1 (upright) to 8. */
export type Orientation = 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8;

/** An orientation and where it is written. */
export interface OrientationEntry {
  readonly orientation: Orientation;
  /** Offset in bytes of the 16-bit value. */
  readonly offset: number;
  readonly isLittleEndian: boolean;
}

const ORIENTATION_TAG = 0x0112;
const TYPE_SHORT = 3;

/** Bytes of a directory entry, and of the header before the first directory's offset. */
const ENTRY_LENGTH = 12;
const DIRECTORY_FIELD = 4;

/**
 * Finds the orientation in EXIF data. Source: TIFF 6.0, §2; CIPA DC-008 §4.6.4.
 *
 * @param start Offset of the TIFF header (`II*` or `MM*`).
 * @param end Offset after the data.
 * @returns undefined when there is none or the data is damaged: a picture is shown without it too.
 */
export function findOrientation(bytes: Uint8Array, start: number, end: number): OrientationEntry | undefined {
  const isLittleEndian = hasAsciiAt(bytes, start, 'II*\0');
  if (!isLittleEndian && !hasAsciiAt(bytes, start, 'MM\0*')) return undefined;
  if (start + DIRECTORY_FIELD + 4 > end) return undefined;
  const view = toDataView(bytes);
  const directory = start + view.getUint32(start + DIRECTORY_FIELD, isLittleEndian);
  if (directory + 2 > end) return undefined;
  const count = view.getUint16(directory, isLittleEndian);
  for (let index = 0; index < count; index += 1) {
    const entry = directory + 2 + index * ENTRY_LENGTH;
    if (entry + ENTRY_LENGTH > end) return undefined;
    if (view.getUint16(entry, isLittleEndian) !== ORIENTATION_TAG) continue;
    if (view.getUint16(entry + 2, isLittleEndian) !== TYPE_SHORT) return undefined;
    const offset = entry + 8;
    const orientation = view.getUint16(offset, isLittleEndian);
    return isOrientation(orientation) ? { orientation, offset, isLittleEndian } : undefined;
  }
  return undefined;
}

function isOrientation(value: number): value is Orientation {
  return value >= 1 && value <= 8;
}
