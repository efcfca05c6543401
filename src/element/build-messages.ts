import { parseReply } from '../agent/parse-reply.ts';
import { buildAssistantTurn, buildFirstTurn, buildScreenTurn, removeImages } from '../agent/prompts.ts';
import type { ChatMessage } from '../engine/openai.ts';
import type { Turn, UserTurn } from './conversation.ts';

/** How an image reaches the model: as a data URL, which no page or worker has to keep alive. */
export type ToImageUrl = (blob: Blob) => Promise<string>;

/**
 * The request's messages for the last of these turns.
 *
 * A screenshot with a text begins a new task, and what was before it is not sent: AutoGLM was trained on one
 * task a conversation. A screenshot without a text is the next screen of the task. Only the newest
 * screenshots are sent as pictures.
 *
 * @param turns shown turns from the first to the user's turn that is to be answered.
 */
export async function buildMessages(
  turns: readonly Turn[],
  systemPrompt: string,
  toImageUrl: ToImageUrl,
): Promise<ChatMessage[]> {
  const task = turns.slice(findTaskStart(turns));
  const newestScreen = task.findLastIndex((turn) => turn.role === 'user' && turn.images.length > 0);
  const messages: ChatMessage[] = systemPrompt === '' ? [] : [{ role: 'system', content: systemPrompt }];
  for (const [index, turn] of task.entries()) {
    if (turn.role === 'assistant') {
      if (turn.text !== '') messages.push(buildAssistantTurn(parseReply(turn.text)));
      continue;
    }
    const urls = await Promise.all(
      index === newestScreen ? turn.images.map(({ blob }) => toImageUrl(blob)) : [],
    );
    const message = buildUserMessage(turn, urls);
    messages.push(...(index === newestScreen ? [message] : removeImages([message])));
  }
  return messages;
}

/** Index of the turn that began the task which the last turn belongs to. */
export function findTaskStart(turns: readonly Turn[]): number {
  const isTask = (turn: Turn) => turn.role === 'user' && turn.images.length > 0 && turn.text.trim() !== '';
  return Math.max(0, turns.findLastIndex(isTask));
}

function buildUserMessage(turn: UserTurn, imageUrls: readonly string[]): ChatMessage {
  const info = turn.currentApp === null ? undefined : { currentApp: turn.currentApp };
  const [firstUrl, ...otherUrls] = imageUrls;
  const isNextScreen = turn.text.trim() === '' && info !== undefined;
  const message = isNextScreen ? buildScreenTurn(info, firstUrl) : buildFirstTurn(turn.text, info, firstUrl);
  if (otherUrls.length === 0 || typeof message.content === 'string') return message;
  const others = otherUrls.map((url) => ({ type: 'image_url', image_url: { url } }) as const);
  return { ...message, content: [...message.content.slice(0, 1), ...others, ...message.content.slice(1)] };
}
