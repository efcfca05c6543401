import { parseReply } from '../agent/parse-reply.ts';
import { buildFirstTurn, buildScreenTurn } from '../agent/prompts.ts';
import { AutoglmError } from '../base/errors.ts';
import type { ChatMessage, ContentPart } from '../engine/openai.ts';
import { addTurn, createConversation, createId, shownTurns, titleOf } from './conversation.ts';
import type { AssistantTurn, Conversation, Turn, TurnImage, UserTurn } from './conversation.ts';
import { openImage, toDataUrl } from './image-files.ts';

/** An exported conversation: the shown branch as OpenAI messages, images as data URLs. */
export interface HistoryFile {
  readonly format: 'autoglm-chat';
  readonly version: 1;
  readonly title: string;
  readonly messages: readonly ChatMessage[];
}

/** The shown branch as OpenAI messages, with the text just as the model gets it. */
export async function toHistoryFile(conversation: Conversation): Promise<HistoryFile> {
  const messages = await Promise.all(shownTurns(conversation).map(toMessage));
  return { format: 'autoglm-chat', version: 1, title: titleOf(conversation), messages };
}

/** The shown branch as the text of a file. */
export async function toHistoryText(
  conversation: Conversation,
  format: 'json' | 'markdown',
): Promise<string> {
  if (format === 'markdown') return toMarkdown(conversation);
  return `${JSON.stringify(await toHistoryFile(conversation), null, 2)}\n`;
}

/** The shown branch as Markdown; images are named, not embedded. */
export function toMarkdown(conversation: Conversation): string {
  const turns = shownTurns(conversation).map((turn) =>
    turn.role === 'user' ? markdownOfUser(turn) : markdownOfAssistant(turn),
  );
  return [`# ${titleOf(conversation) || 'AutoGLM'}`, ...turns].join('\n\n').concat('\n');
}

/**
 * Reads an exported file (its text, or the parsed value), or any list of OpenAI messages. System messages are left out: the element has its
 * own. Nothing is fetched, so images must be data URLs.
 *
 * @throws AutoglmError `message-invalid` naming the message; `image-undecodable` for a broken image.
 */
export async function fromHistoryFile(source: unknown): Promise<Conversation> {
  const data = typeof source === 'string' ? parseJson(source) : source;
  const messages = readMessages(data);
  let conversation = createConversation();
  let parentId: string | null = null;
  for (const [index, message] of messages.entries()) {
    const role = read(message, 'role');
    if (role === 'system' || role === 'developer') continue;
    const turn: Turn = await toTurn(message, index, parentId);
    conversation = addTurn(conversation, turn);
    parentId = turn.id;
  }
  const title = read(data, 'title');
  return typeof title === 'string' && title !== '' ? { ...conversation, title } : conversation;
}

async function toMessage(turn: Turn): Promise<ChatMessage> {
  if (turn.role === 'assistant') return { role: 'assistant', content: turn.text };
  const info = turn.currentApp === null ? undefined : { currentApp: turn.currentApp };
  const isScreen = turn.text === '' && info !== undefined;
  const { content } = isScreen ? buildScreenTurn(info) : buildFirstTurn(turn.text, info);
  if (turn.images.length === 0) return { role: 'user', content };
  const urls = await Promise.all(turn.images.map(({ blob }) => toDataUrl(blob)));
  const images = urls.map((url): ContentPart => ({ type: 'image_url', image_url: { url } }));
  return { role: 'user', content: [...images, { type: 'text', text: String(content) }] };
}

function markdownOfUser(turn: UserTurn): string {
  const images = turn.images.map(({ name, width, height }) => `*[${name}, ${width} × ${height}]*`);
  return ['**You**', ...images, ...(turn.text === '' ? [] : [turn.text])].join('\n\n');
}

function markdownOfAssistant(turn: AssistantTurn): string {
  const { thinking, actionText } = parseReply(turn.text);
  const quoted = thinking === '' ? [] : [thinking.replaceAll(/^/gm, '> ')];
  const isCall = /^(?:do|finish)\(/.test(actionText);
  return ['**AutoGLM**', ...quoted, isCall ? `\`${actionText}\`` : actionText].join('\n\n');
}

function readMessages(data: unknown): readonly unknown[] {
  const messages = Array.isArray(data) ? data : read(data, 'messages');
  if (Array.isArray(messages)) return messages;
  throw new AutoglmError('message-invalid', 'The history has no list of messages.', {
    limit: '{"messages": [...]} or [...]',
    cure: 'Choose a file that this element or an OpenAI client wrote.',
  });
}

async function toTurn(message: unknown, index: number, parentId: string | null): Promise<Turn> {
  const base = { id: createId(), parentId, createdAt: Date.now() };
  const role = read(message, 'role');
  const parts = readParts(message, index);
  const text = parts.map((part) => (part.type === 'text' ? part.text : '')).join('');
  if (role === 'assistant') {
    const whole = {
      finish: 'stop',
      fault: null,
      thinkingMs: null,
      figures: null,
      leftOutTurnCount: 0,
    } as const;
    return { ...base, role, text, ...whole };
  }
  if (role !== 'user') throw invalid(index, 'role', role, 'system, user or assistant');
  const urls = parts.flatMap((part) => (part.type === 'image_url' ? [part.image_url.url] : []));
  const images = await Promise.all(urls.map((url, position) => toImage(url, index, position)));
  return { ...base, role, images, ...splitScreenInfo(text) };
}

function readParts(message: unknown, index: number): readonly ContentPart[] {
  const content = read(message, 'content');
  if (typeof content === 'string') return [{ type: 'text', text: content }];
  if (!Array.isArray(content)) throw invalid(index, 'content', content, 'a text or a list of parts');
  return content.map((part: unknown): ContentPart => {
    const text = read(part, 'text');
    const url = read(read(part, 'image_url'), 'url');
    if (read(part, 'type') === 'text' && typeof text === 'string') return { type: 'text', text };
    if (read(part, 'type') === 'image_url' && typeof url === 'string')
      return { type: 'image_url', image_url: { url } };
    throw invalid(index, 'content', part, 'text and image_url parts');
  });
}

/** Takes off what `buildFirstTurn` and `buildScreenTurn` add. */
function splitScreenInfo(text: string): Pick<UserTurn, 'text' | 'currentApp'> {
  const match = /(?:^|\n\n)\{"current_app": ("(?:[^"\\]|\\.)*")\}$/.exec(text);
  if (match?.[1] === undefined) return { text, currentApp: null };
  const task = text.slice(0, match.index);
  return { text: task === '** Screen Info **' ? '' : task, currentApp: String(JSON.parse(match[1])) };
}

function toImage(url: string, index: number, position: number): Promise<TurnImage> {
  const match = /^data:(image\/(?:png|jpeg|webp));base64,([A-Za-z0-9+/=]*)$/.exec(url);
  if (match?.[2] === undefined) {
    throw invalid(index, 'image_url', url.slice(0, 80), 'a data URL of a PNG, JPEG or WebP image');
  }
  // Not fetch(): a page's content security policy rarely allows that for data URLs.
  const bytes = Uint8Array.from(atob(match[2]), (character) => character.charCodeAt(0));
  return openImage(new Blob([bytes], { type: match[1] ?? '' }), `image-${index + 1}-${position + 1}`);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new AutoglmError('message-invalid', 'The history is not JSON.', {
      cure: 'Choose an exported file.',
      cause,
    });
  }
}

function read(from: unknown, name: string): unknown {
  return typeof from === 'object' && from !== null ? (from as Record<string, unknown>)[name] : undefined;
}

function invalid(index: number, name: string, value: unknown, limit: string): AutoglmError {
  const shown = JSON.stringify(value)?.slice(0, 100);
  return new AutoglmError('message-invalid', `Message ${index + 1} has ${name} ${shown}, not ${limit}.`, {
    value,
    limit,
    cure: 'Correct the file.',
  });
}
