import type { ChatMessage, ContentPart, TextPart } from '../openai.ts';
import type { PromptContent, PromptInput, PromptMessage } from './prompt-types.ts';

/**
 * Messages of a prompt, with its pictures as data URLs.
 *
 * @param acceptsImages whether the session said that it would get pictures.
 * @throws TypeError, or the DOMException that the Prompt API names for the fault
 */
export async function toChatMessages(input: PromptInput, acceptsImages: boolean): Promise<ChatMessage[]> {
  // Whatever is no list is a text, as the platform takes its strings.
  if (!Array.isArray(input)) return [{ role: 'user', content: String(input) }];
  const messages = input as readonly PromptMessage[];
  return Promise.all(
    messages.map((message, index) => {
      if (message.prefix && (message.role !== 'assistant' || index < messages.length - 1)) {
        throw new TypeError('"prefix" belongs to the last message, and that must be the assistant’s.');
      }
      return toChatMessage(message, acceptsImages);
    }),
  );
}

/** True for a prompt whose last message is the beginning of the answer. */
export function isPrefixed(input: PromptInput): boolean {
  return Array.isArray(input) && (input as readonly PromptMessage[]).at(-1)?.prefix === true;
}

async function toChatMessage({ role, content }: PromptMessage, acceptsImages: boolean): Promise<ChatMessage> {
  if (!['system', 'user', 'assistant'].includes(role)) {
    throw new TypeError(`"${String(role)}" is no role: use system, user or assistant.`);
  }
  if (typeof content === 'string') return { role, content };
  const parts = await Promise.all(content.map((part) => toPart(part, role, acceptsImages)));
  // An empty list is an empty text.
  if (parts.length === 0) return { role, content: '' };
  return role === 'user' ? { role, content: parts } : { role, content: parts as TextPart[] };
}

async function toPart(
  { type, value }: PromptContent,
  role: PromptMessage['role'],
  acceptsImages: boolean,
): Promise<ContentPart> {
  if (type === 'text') {
    if (typeof value === 'string') return { type, text: value };
    throw new TypeError('A part of the type "text" has a string as its value.');
  }
  if (type !== 'image') throw unsupported(`The model takes no "${String(type)}".`);
  if (role !== 'user') throw unsupported(`Pictures belong to user messages, not to "${role}".`);
  if (!acceptsImages) throw unsupported('The session was created without "image" in "expectedInputs".');
  return { type: 'image_url', image_url: { url: await toDataUrl(await toImageBlob(value)) } };
}

/** A picture in any form that a page has, as a file. @throws DOMException `InvalidStateError`, TypeError */
async function toImageBlob(value: unknown): Promise<Blob> {
  if (value instanceof Blob) return value;
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) return new Blob([value as BlobPart]);
  if (typeof value !== 'object' || value === null || typeof createImageBitmap === 'undefined') {
    throw new TypeError(
      'A part of the type "image" has a Blob, a buffer, a bitmap or an element as its value.',
    );
  }
  if (typeof HTMLImageElement !== 'undefined' && value instanceof HTMLImageElement) await value.decode();
  // Bitmaps, canvases, image data, video frames and elements; whatever else it is, this throws as the API says.
  const bitmap = await createImageBitmap(value as ImageBitmapSource);
  try {
    const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
    canvas.getContext('2d')?.drawImage(bitmap, 0, 0);
    return await canvas.convertToBlob();
  } finally {
    bitmap.close();
  }
}

async function toDataUrl(blob: Blob): Promise<string> {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  let text = '';
  // In pieces: an argument list holds only so much.
  for (let at = 0; at < bytes.length; at += 0x8000) {
    text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  }
  return `data:${blob.type.startsWith('image/') ? blob.type : 'image/png'};base64,${btoa(text)}`;
}

function unsupported(message: string): DOMException {
  return new DOMException(message, 'NotSupportedError');
}
