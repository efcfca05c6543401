import { parseReply } from '../agent/parse-reply.ts';
import { buildAssistantTurn, buildFirstTurn, buildScreenTurn } from '../agent/prompts.ts';
import type { ChatMessage, ImagePart } from '../engine/openai.ts';
import type { Turn, TurnImage, UserTurn } from './conversation.ts';

/** How an image reaches the model: as a data URL, which no page or worker has to keep alive. */
export type ToImageUrl = (blob: Blob) => Promise<string>;

type ImageReference = ImagePart['image_url'];

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
    const sent = index === newestScreen ? turn.images : [];
    const images = await Promise.all(sent.map((image) => toReference(image, toImageUrl)));
    messages.push(buildUserMessage(turn, images));
  }
  return messages;
}

/** Index of the turn that began the task which the last turn belongs to. */
export function findTaskStart(turns: readonly Turn[]): number {
  const isTask = (turn: Turn) => turn.role === 'user' && turn.images.length > 0 && turn.text.trim() !== '';
  return Math.max(0, turns.findLastIndex(isTask));
}

async function toReference(image: TurnImage, toImageUrl: ToImageUrl): Promise<ImageReference> {
  const url = await toImageUrl(image.blob);
  return image.detail === 'low' ? { url, detail: 'low' } : { url };
}

function buildUserMessage(turn: UserTurn, images: readonly ImageReference[]): ChatMessage {
  const info = turn.currentApp === null ? undefined : { currentApp: turn.currentApp };
  const isNextScreen = turn.text.trim() === '' && info !== undefined;
  const { content } = isNextScreen ? buildScreenTurn(info) : buildFirstTurn(turn.text, info);
  if (images.length === 0 || typeof content !== 'string') return { role: 'user', content };
  const parts = images.map((image_url): ImagePart => ({ type: 'image_url', image_url }));
  return { role: 'user', content: [...parts, { type: 'text', text: content }] };
}
