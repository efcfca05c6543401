import { Template } from '@huggingface/jinja';
import { AutoglmError } from '../base/errors.ts';
import { isImagePart } from './chat-message.ts';
import type { MessageInput, PartInput } from './chat-message.ts';

/** How a conversation is rendered. */
export interface RenderOptions {
  /** Ends with the opening of the assistant's turn, so that the model answers. Default true. */
  readonly addGenerationPrompt?: boolean;
  /**
   * Where a user turn's images stand. `openai`: in the order of the parts, nothing between them, as
   * transformers renders. `string`: first all images, then the texts, joined by newlines, as vLLM does with
   * `--chat-template-content-format string`, the flag that Open-AutoGLM serves with. Default `openai`.
   */
  readonly contentFormat?: ContentFormat;
}

export type ContentFormat = 'openai' | 'string';

type TemplatePart = { readonly type: 'text'; readonly text: string } | { readonly type: 'image' };

interface TemplateMessage {
  readonly role: string;
  readonly content: string | readonly TemplatePart[];
}

/** A chat template in Jinja, rendered with trimmed blocks as transformers does. */
export class ChatTemplate {
  readonly #template: Template;
  readonly #variables: Readonly<Record<string, unknown>>;

  private constructor(template: Template, variables: Readonly<Record<string, unknown>>) {
    this.#template = template;
    this.#variables = variables;
  }

  /**
   * Parses a template.
   *
   * @param source - contents of chat_template.jinja
   * @param config - tokenizer_config.json, whose `bos_token` and the like the template may use
   * @throws AutoglmError `template-invalid` for a syntax error.
   */
  static create(source: string, config: Readonly<Record<string, unknown>> = {}): ChatTemplate {
    const template = attempt('The chat template does not parse', () => new Template(source));
    const entries = Object.entries(config).filter(([name]) => name.endsWith('_token'));
    return new ChatTemplate(
      template,
      Object.fromEntries(entries.map(([name, value]) => [name, toText(value)])),
    );
  }

  /**
   * Text of a conversation that `validateMessages` has seen. Text is put in as it is: use
   * `Tokenizer.encodeChat` where it comes from a user.
   *
   * @throws AutoglmError `template-invalid` when the template fails, `message-invalid` when it leaves out a
   *   message's text, as GLM-4.1V's does with tool results.
   */
  render(messages: readonly MessageInput[], options: RenderOptions = {}): string {
    const { addGenerationPrompt = true, contentFormat = 'openai' } = options;
    const plain = messages.map((message) => toTemplateMessage(message, contentFormat));
    const rendered = attempt('The chat template failed', () =>
      this.#template.render({
        ...this.#variables,
        messages: plain,
        add_generation_prompt: addGenerationPrompt,
      }),
    );
    plain.forEach((message, index) => requireRendered(message, index, rendered));
    return rendered;
  }
}

function toTemplateMessage(message: MessageInput, format: ContentFormat): TemplateMessage {
  const role = message.role === 'developer' ? 'system' : message.role;
  const { content } = message;
  if (typeof content === 'string') return { role, content };
  // Templates expect parts in user turns only; elsewhere they print the list itself.
  if (role !== 'user') return { role, content: content.map(textOf).join('') };
  return { role, content: format === 'openai' ? content.map(toTemplatePart) : toImagesFirst(content) };
}

function toImagesFirst(parts: readonly PartInput[]): TemplatePart[] {
  const images = parts.filter(isImagePart);
  const texts = parts.filter((part) => !isImagePart(part));
  const newline: TemplatePart = { type: 'text', text: '\n' };
  return [...images, ...texts].flatMap((part, index) =>
    index === 0 ? [toTemplatePart(part)] : [newline, toTemplatePart(part)],
  );
}

function toTemplatePart(part: PartInput): TemplatePart {
  return part.type === 'text' ? { type: 'text', text: part.text } : { type: 'image' };
}

function textOf(part: PartInput): string {
  return part.type === 'text' ? part.text : '';
}

// Templates may shorten the assistant's history on purpose (old thinking), but nobody else's words.
function requireRendered(message: TemplateMessage, index: number, rendered: string): void {
  if (message.role === 'assistant') return;
  const parts = typeof message.content === 'string' ? [message.content] : message.content.map(templateText);
  if (parts.every((text) => rendered.includes(text.trim()))) return;
  throw new AutoglmError(
    'message-invalid',
    `The chat template leaves out the text of messages[${index}] (role ${message.role}).`,
    { value: message.role, limit: 'a role that the template renders', cure: 'Send it as a user message.' },
  );
}

function templateText(part: TemplatePart): string {
  return part.type === 'text' ? part.text : '';
}

function toText(token: unknown): unknown {
  return typeof token === 'object' && token !== null && 'content' in token ? token.content : token;
}

function attempt<T>(what: string, action: () => T): T {
  try {
    return action();
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new AutoglmError('template-invalid', `${what}: ${reason}.`, {
      value: reason,
      limit: 'a Jinja chat template',
      cure: 'Use the chat_template.jinja of the model.',
      cause,
    });
  }
}
