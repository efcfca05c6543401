import { AutoglmError } from '../base/errors.ts';
import { countImages, validateMessages } from './chat-message.ts';
import type { MessageInput, PartInput } from './chat-message.ts';
import type { ChatTemplate, RenderOptions } from './chat-template.ts';

/** How a conversation becomes ids. */
export interface EncodeChatOptions extends RenderOptions {
  /**
   * Whether special tokens that message text spells count as special tokens, as they do in transformers.
   * Default false: they are plain text.
   */
  readonly allowSpecialTokens?: boolean;
}

/** A conversation as ids. */
export interface ChatEncoding {
  /** Ids with one image token an image; `expandImageTokens` repeats it. */
  readonly ids: number[];
  /** Images of the conversation, in the order of their tokens. */
  readonly imageCount: number;
}

/** What is needed of a tokenizer. */
interface ShieldingTokenizer {
  encode(text: string, options?: { readonly shield?: string }): number[];
  shield(text: string, shield: string): string;
}

/** Private-use and non-characters: they mean nothing, so one is free in any sane conversation. */
const SHIELD_RANGES = [
  [0xfdd0, 0xfdef],
  [0xe000, 0xf8ff],
] as const;

/**
 * Renders and encodes a conversation so that control tokens come from the template alone.
 *
 * A user who types `<|assistant|>` must not open the assistant's turn, nor `<|image|>` claim an image. So
 * a character that no message contains is put into each special token that a text spells, the template is
 * rendered, special tokens are found, and only then is the character taken out again. Text that spells no
 * part of a special token is rendered and encoded exactly as transformers does. Added tokens that are not
 * special (`<think>`, `<answer>`) keep their ids in every message: history needs them.
 *
 * @throws AutoglmError `message-invalid`, `template-invalid`.
 */
export function encodeChat(
  tokenizer: ShieldingTokenizer,
  template: ChatTemplate,
  messages: unknown,
  options: EncodeChatOptions = {},
): ChatEncoding {
  const { allowSpecialTokens = false, ...renderOptions } = options;
  const valid = validateMessages(messages);
  const imageCount = countImages(valid);
  if (allowSpecialTokens) return { ids: tokenizer.encode(template.render(valid, renderOptions)), imageCount };

  const shield = chooseShield(valid);
  const shielded = valid.map((message) => mapTexts(message, (text) => tokenizer.shield(text, shield)));
  return { ids: tokenizer.encode(template.render(shielded, renderOptions), { shield }), imageCount };
}

function chooseShield(messages: readonly MessageInput[]): string {
  const used = new Set(messages.flatMap(textsOf).flatMap((text) => [...text]));
  for (const [first, last] of SHIELD_RANGES) {
    for (let code = first; code <= last; code++) {
      const character = String.fromCharCode(code);
      if (!used.has(character)) return character;
    }
  }
  throw new AutoglmError('message-invalid', 'The messages use every private-use character.', {
    limit: 'one unused character of U+E000 to U+F8FF',
    cure: 'Remove private-use characters from the messages.',
  });
}

function textsOf({ content }: MessageInput): string[] {
  if (typeof content === 'string') return [content];
  return content.flatMap((part) => (part.type === 'text' ? [part.text] : []));
}

function mapTexts(message: MessageInput, map: (text: string) => string): MessageInput {
  const { content } = message;
  if (typeof content === 'string') return { ...message, content: map(content) };
  const mapPart = (part: PartInput): PartInput =>
    part.type === 'text' ? { ...part, text: map(part.text) } : part;
  return { ...message, content: content.map(mapPart) };
}
