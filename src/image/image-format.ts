/** Formats that are decoded; recognised by content, never by name. */
export type ImageFormat = 'png' | 'jpeg' | 'webp';

/** What a file says about its picture before any pixel is decoded. */
export interface ImageHeader {
  readonly format: ImageFormat;
  /** Pixels as stored, before an EXIF orientation turns them. */
  readonly width: number;
  /** Pixels as stored. */
  readonly height: number;
  /** True when pixels may be transparent. */
  readonly hasAlpha: boolean;
}

/** A reader's answer: the header, or why there is none. */
export type HeaderResult = Omit<ImageHeader, 'format'> | { readonly fault: string };
