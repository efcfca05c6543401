import { AutoglmError } from '../base/errors.ts';
import { DEFAULT_MAX_DECODED_PIXELS } from '../image/decode-image.ts';
import { readImageHeader } from '../image/image-header.ts';
import { readImageBytes } from './image-source.ts';
import type { ChatMessage, ContentPart } from './openai.ts';

/** What the images of one request may be. */
export interface InlineImageLimits {
  /** Greatest width times height of one image. */
  readonly maxPixels?: number;
  /** Greatest sum over a request. */
  readonly maxTotalPixels?: number;
  readonly maxCount?: number;
}

/**
 * Checks that every image of a request is there as a data URL and no larger than allowed, by its header alone: no
 * pixel is decoded and nothing is fetched.
 *
 * @throws AutoglmError `message-invalid` for an image that is not inline, `image-undecodable`, `image-size`
 */
export function checkInlineImages(messages: readonly ChatMessage[], limits: InlineImageLimits = {}): void {
  const { maxPixels = DEFAULT_MAX_DECODED_PIXELS, maxCount = 16 } = limits;
  const { maxTotalPixels = 2 * maxPixels } = limits;
  let count = 0;
  let totalPixels = 0;
  for (const url of imageUrls(messages)) {
    count++;
    const { width, height } = readImageHeader(decodeDataUrl(url));
    const pixels = width * height;
    totalPixels += pixels;
    if (pixels > maxPixels) throw tooLarge(`An image of ${width} x ${height} pixels`, pixels, maxPixels);
    if (totalPixels > maxTotalPixels) {
      throw tooLarge('All images of a request together', totalPixels, maxTotalPixels);
    }
    if (count > maxCount) throw tooLarge('The number of images', count, maxCount);
  }
}

/** The same messages with every image as a data URL, for an engine on another machine or in another process. */
export async function inlineImages(
  messages: readonly ChatMessage[],
  signal?: AbortSignal,
): Promise<ChatMessage[]> {
  return Promise.all(
    messages.map(async (message) => {
      if (!Array.isArray(message.content)) return message;
      const parts = message.content as readonly ContentPart[];
      const content = await Promise.all(parts.map((part) => inlinePart(part, signal)));
      return { ...message, content } as ChatMessage;
    }),
  );
}

async function inlinePart(part: ContentPart, signal: AbortSignal | undefined): Promise<ContentPart> {
  if (part.type !== 'image_url' || /^data:/i.test(part.image_url.url)) return part;
  const bytes = await readImageBytes(part.image_url.url, signal);
  const { format } = readImageHeader(bytes);
  const url = `data:image/${format};base64,${toBase64(bytes)}`;
  return { ...part, image_url: { ...part.image_url, url } };
}

function* imageUrls(messages: readonly ChatMessage[]): Generator<string> {
  for (const { content } of messages) {
    if (!Array.isArray(content)) continue;
    for (const part of content as readonly ContentPart[]) {
      if (part?.type === 'image_url') yield String(part.image_url?.url);
    }
  }
}

function decodeDataUrl(url: string): Uint8Array {
  const match = /^data:image\/[\w.+-]+;base64,/i.exec(url);
  if (!match) {
    throw new AutoglmError('message-invalid', `Cannot take the image at "${url.slice(0, 60)}".`, {
      value: url.slice(0, 60),
      limit: 'a data URL with base64',
      cure: 'Send the picture itself: data:image/png;base64,…',
    });
  }
  try {
    return Uint8Array.from(atob(url.slice(match[0].length)), (character) => character.charCodeAt(0));
  } catch (cause) {
    throw new AutoglmError('message-invalid', 'The data URL of an image is not base64.', {
      value: url.slice(0, 60),
      cure: 'Encode the picture again.',
      cause,
    });
  }
}

/** In pieces, as a call takes a limited number of arguments. */
function toBase64(bytes: Uint8Array): string {
  let text = '';
  for (let start = 0; start < bytes.length; start += 0x8000) {
    text += String.fromCharCode(...bytes.subarray(start, start + 0x8000));
  }
  return btoa(text);
}

function tooLarge(what: string, value: number, limit: number): AutoglmError {
  return new AutoglmError('image-size', `${what} is above the limit: ${value} of ${limit}.`, {
    value,
    limit,
    cure: 'Send fewer or smaller pictures.',
  });
}
