import { AutoglmError } from '../base/errors.ts';
import { createId } from './conversation.ts';
import type { TurnImage } from './conversation.ts';

/** What the engine's decoder reads. */
export const IMAGE_TYPES = ['image/png', 'image/jpeg', 'image/webp'] as const;

/** A larger file is refused before it is decoded: a phone's screenshot has a tenth of it. */
const MOST_BYTES = 50_000_000;

/**
 * Reads an image's size, turned as its EXIF orientation says.
 *
 * @throws AutoglmError `image-size` above 50 MB, `image-undecodable` for anything that is not a picture.
 */
export async function openImage(file: Blob, name: string): Promise<TurnImage> {
  if (file.size > MOST_BYTES) {
    throw new AutoglmError('image-size', `"${name}" has ${file.size} bytes, more than ${MOST_BYTES}.`, {
      value: file.size,
      limit: MOST_BYTES,
      cure: 'Choose a smaller picture.',
    });
  }
  const bitmap = await createImageBitmap(file).catch((cause: unknown) => {
    throw new AutoglmError('image-undecodable', `"${name}" is not a picture that this browser reads.`, {
      value: file.type,
      limit: IMAGE_TYPES,
      cure: 'Choose a PNG, JPEG or WebP file.',
      cause,
    });
  });
  const { width, height } = bitmap;
  bitmap.close();
  return { id: createId(), blob: file, name, width, height, detail: 'high' };
}

/** The pictures among pasted or dropped things. */
export function imageFiles(transfer: DataTransfer | null): File[] {
  return [...(transfer?.files ?? [])].filter(({ type }) => type.startsWith('image/'));
}

/** True while something is dragged that may hold pictures; their types are hidden until the drop. */
export function hasFiles(transfer: DataTransfer | null): boolean {
  return transfer?.types.includes('Files') ?? false;
}

/** A `data:` URL of the blob's bytes. */
export function toDataUrl(blob: Blob): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.addEventListener('load', () => resolve(String(reader.result)));
    reader.addEventListener('error', () => reject(reader.error));
    reader.readAsDataURL(blob);
  });
}

/**
 * A blob, or what the page's own URL leads to, as an image.
 *
 * @throws AutoglmError `http-status` or `network` for a URL that gives nothing; else as `openImage`.
 */
export async function openImageSource(source: Blob | string): Promise<TurnImage> {
  if (typeof source !== 'string') return openImage(source, source instanceof File ? source.name : 'image');
  const name = source.startsWith('data:')
    ? 'image'
    : (source.split(/[?#]/, 1)[0]?.split('/').at(-1) ?? 'image');
  const response = await fetch(source).catch((cause: unknown) => {
    throw new AutoglmError('network', `The image "${name}" could not be fetched.`, {
      value: source,
      cure: 'Check the address and the connection.',
      cause,
    });
  });
  if (!response.ok) {
    throw new AutoglmError(
      'http-status',
      `The image "${name}" could not be fetched: HTTP ${response.status}.`,
      {
        value: response.status,
        cure: 'Check the address.',
      },
    );
  }
  return openImage(await response.blob(), name);
}
