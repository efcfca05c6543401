/** Formats that are decoded; recognised by content, never by name. */
export type ImageFormat = 'png' | 'jpeg' | 'webp';

/** For messages. */
export const FORMAT_NAMES = { png: 'PNG', jpeg: 'JPEG', webp: 'WebP' } as const;

/** What a file says about its picture before any pixel is decoded. */
export interface ImageHeader {
  readonly format: ImageFormat;
  /** Pixels as stored, before an EXIF orientation turns them. */
  readonly width: number;
  /** Pixels as stored. */
  readonly height: number;
  /** True when pixels may be transparent. */
  readonly hasAlpha: boolean;
  /** True when pixels are stored as amounts of ink; only JPEG does. */
  readonly isCmyk: boolean;
}

/** A reader's answer: the header, or why there is none. */
export type HeaderResult = Omit<ImageHeader, 'format'> | { readonly fault: string };
