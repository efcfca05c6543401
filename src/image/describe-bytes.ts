import { hasAsciiAt } from './byte-view.ts';

/** What a file that is no picture turned out to be. */
export interface BytesDescription {
  /** In words, such as `a GIF file` or `text starting with "<html>"`. */
  readonly type: string;
  /** The first bytes in hex, separated by spaces. */
  readonly firstBytes: string;
  readonly byteLength: number;
}

const SHOWN_BYTES = 12;
const SHOWN_CHARACTERS = 24;

/** Signatures of files that people attach by mistake: offset, characters, name. */
const SIGNATURES = [
  [0, '\x89PNG', 'a PNG file'],
  [0, '\xff\xd8\xff', 'a JPEG file'],
  [8, 'WEBP', 'a WebP file'],
  [0, 'GIF8', 'a GIF file'],
  [0, 'BM', 'a BMP file'],
  [0, 'II*\0', 'a TIFF file'],
  [0, 'MM\0*', 'a TIFF file'],
  [0, '%PDF', 'a PDF file'],
  [0, 'PK\x03\x04', 'a ZIP file'],
  [4, 'ftypavif', 'an AVIF file'],
  [4, 'ftyphei', 'a HEIC file'],
  [4, 'ftypmif1', 'a HEIC file'],
  [4, 'ftyp', 'an MP4 or QuickTime file'],
] as const;

/** Names bytes for an error message. */
export function describeBytes(bytes: Uint8Array): BytesDescription {
  const firstBytes = Array.from(bytes.subarray(0, SHOWN_BYTES), (byte) => byte.toString(16).padStart(2, '0'));
  return { type: nameType(bytes), firstBytes: firstBytes.join(' '), byteLength: bytes.length };
}

function nameType(bytes: Uint8Array): string {
  if (bytes.length === 0) return 'an empty file';
  const known = SIGNATURES.find(([offset, text]) => hasAsciiAt(bytes, offset, text));
  if (known !== undefined) return known[2];
  const text = new TextDecoder().decode(bytes.subarray(0, SHOWN_CHARACTERS));
  // Control characters other than tab and line breaks, and U+FFFD for what is no UTF-8, mean binary data.
  // oxlint-disable-next-line no-control-regex
  if (/[\u0000-\u0008\u000e-\u001f\ufffd]/u.test(text)) return 'data of an unknown kind';
  return `text starting with ${JSON.stringify(text)}`;
}
