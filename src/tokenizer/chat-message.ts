import { AutoglmError } from '../base/errors.ts';

/** A part of a message: text, an OpenAI image, or an image in Hugging Face's spelling. */
export type PartInput =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'image_url'; readonly image_url: { readonly url: string } }
  | { readonly type: 'image'; readonly image?: string };

/** One turn, as OpenAI's chat completions shape it. */
export interface MessageInput {
  readonly role: Role;
  readonly content: string | readonly PartInput[];
}

const ROLES = ['system', 'developer', 'user', 'assistant', 'tool'] as const;

/** Who speaks; `developer` is OpenAI's newer name for `system`. */
export type Role = (typeof ROLES)[number];

type Json = Readonly<Record<string, unknown>>;

/**
 * Checks a conversation and gives it its type.
 *
 * @throws AutoglmError `message-invalid`; the message names the path of the fault, such as
 *   `messages[2].content[0].type`, and `value` and `limit` what was found and expected there.
 */
export function validateMessages(messages: unknown): readonly MessageInput[] {
  if (!Array.isArray(messages)) throw fault('messages', 'an array of messages', describe(messages));
  if (messages.length === 0) throw fault('messages', 'at least one message', '[]');
  messages.forEach((message, index) => validateMessage(message, `messages[${index}]`));
  return messages as readonly MessageInput[];
}

/** True for a part that shows an image. */
export function isImagePart(part: PartInput): boolean {
  return part.type !== 'text';
}

/** Number of images in a conversation. */
export function countImages(messages: readonly MessageInput[]): number {
  const parts = messages.flatMap(({ content }) => (typeof content === 'string' ? [] : content));
  return parts.filter(isImagePart).length;
}

function validateMessage(message: unknown, path: string): void {
  if (!isObject(message)) throw fault(path, 'an object with role and content', describe(message));
  const { role, content } = message;
  if (!ROLES.includes(role as Role)) throw fault(`${path}.role`, ROLES.join(', '), describe(role));
  if (typeof content === 'string') return;
  if (!Array.isArray(content))
    throw fault(`${path}.content`, 'a string or an array of parts', describe(content));
  if (content.length === 0) throw fault(`${path}.content`, 'at least one part', '[]');
  content.forEach((part, index) => validatePart(part, role as Role, `${path}.content[${index}]`));
}

function validatePart(part: unknown, role: Role, path: string): void {
  if (!isObject(part)) throw fault(path, 'an object with a type', describe(part));
  if (part['type'] === 'text') return validateText(part['text'], `${path}.text`);
  if (part['type'] !== 'image_url' && part['type'] !== 'image') {
    throw fault(`${path}.type`, 'text, image_url, image', describe(part['type']));
  }
  // Chat templates put images into user turns only; elsewhere they would vanish or be spelt out.
  if (role !== 'user')
    throw fault(`${path}.type`, `text (images belong to user messages, not ${role})`, part['type']);
  if (part['type'] === 'image_url') validateImageUrl(part['image_url'], `${path}.image_url`);
  else if (part['image'] !== undefined) validateText(part['image'], `${path}.image`);
}

function validateText(text: unknown, path: string): void {
  if (typeof text !== 'string') throw fault(path, 'a string', describe(text));
}

function validateImageUrl(image: unknown, path: string): void {
  if (!isObject(image)) throw fault(path, 'an object with a url', describe(image));
  const { url } = image;
  if (typeof url !== 'string' || url === '')
    throw fault(`${path}.url`, 'a data, blob or http(s) URL', describe(url));
}

function fault(path: string, limit: string, value: unknown): AutoglmError {
  return new AutoglmError('message-invalid', `${path} is ${String(value)}; expected ${limit}.`, {
    value,
    limit,
    cure: 'Send messages in the shape of OpenAI chat completions.',
  });
}

function describe(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 60));
  if (Array.isArray(value)) return 'an array';
  return isObject(value) ? 'an object' : String(value);
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
