import type { ChatMessage, ContentPart, UserMessage } from '../engine/openai.ts';
import type { Reply } from './parse-reply.ts';

/** System prompt that the embedded small model was trained with. */
export const TINY_SYSTEM_PROMPT = 'You are a phone agent. Look at the screen and reply with one action.';

/**
 * How an answer is kept in the history. `official`: as Open-AutoGLM's client does, tags of the thinking
 * included, which doubles them (`<think><think>...</think>`); models trained with it expect it. `clean`: the
 * tags once.
 */
export type HistoryStyle = 'official' | 'clean';

/** What is known of the screen besides its picture; `current_app` comes first. */
export interface ScreenInfo {
  readonly currentApp: string;
  readonly extra?: Readonly<Record<string, string | number | boolean>>;
}

/** The screen info as the model knows it: Python's JSON spacing, characters unescaped. */
export function formatScreenInfo(info: ScreenInfo): string {
  const entries = Object.entries({ current_app: info.currentApp, ...info.extra });
  return `{${entries.map(([key, value]) => `${JSON.stringify(key)}: ${JSON.stringify(value)}`).join(', ')}}`;
}

/** The first user turn: the screenshot, then the task and the screen info. */
export function buildFirstTurn(task: string, info?: ScreenInfo, imageUrl?: string): UserMessage {
  const text = info === undefined ? task : `${task}\n\n${formatScreenInfo(info)}`;
  return buildUserTurn(text, imageUrl);
}

/** A later user turn: the screenshot after the last action, then the screen info. */
export function buildScreenTurn(info: ScreenInfo, imageUrl?: string): UserMessage {
  return buildUserTurn(`** Screen Info **\n\n${formatScreenInfo(info)}`, imageUrl);
}

/** An answer as an assistant turn of the history. */
export function buildAssistantTurn(reply: Reply, style: HistoryStyle = 'official'): ChatMessage {
  const thinking = style === 'official' ? reply.rawThinking : reply.thinking;
  return { role: 'assistant', content: `<think>${thinking}</think><answer>${reply.actionText}</answer>` };
}

/**
 * The conversation without its pictures: earlier turns keep their text only, so that each request has one
 * image and the prompt before the newest screen stays the same from step to step.
 */
export function removeImages(messages: readonly ChatMessage[]): ChatMessage[] {
  return messages.map((message) =>
    typeof message.content === 'string' ? message : { ...message, content: joinTexts(message.content ?? []) },
  );
}

function buildUserTurn(text: string, imageUrl: string | undefined): UserMessage {
  if (imageUrl === undefined) return { role: 'user', content: text };
  return {
    role: 'user',
    content: [
      { type: 'image_url', image_url: { url: imageUrl } },
      { type: 'text', text },
    ],
  };
}

function joinTexts(parts: readonly ContentPart[]): string {
  return parts.map((part) => (part.type === 'text' ? part.text : '')).join('');
}
