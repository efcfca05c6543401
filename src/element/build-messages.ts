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
  const newest = task.findLast((turn): turn is UserTurn => turn.role === 'user' && turn.images.length > 0);
  const sent = newest?.images ?? [];
  const images = await Promise.all(sent.map((image) => toReference(image, toImageUrl)));
  return toMessages(task, systemPrompt, (turn) => (turn === newest ? images : []));
}

/**
 * The messages that will stand before the next screen of the task: those of all turns, without pictures.
 *
 * @param turns shown turns from the first to the newest answer.
 */
export function buildHistory(turns: readonly Turn[], systemPrompt: string): ChatMessage[] {
  return toMessages(turns.slice(findTaskStart(turns)), systemPrompt, () => []);
}

function toMessages(
  task: readonly Turn[],
  systemPrompt: string,
  imagesOf: (turn: UserTurn) => readonly ImageReference[],
): ChatMessage[] {
  const system: ChatMessage[] = systemPrompt === '' ? [] : [{ role: 'system', content: systemPrompt }];
  const turns = task.flatMap((turn): ChatMessage[] => {
    if (turn.role === 'user') return [buildUserMessage(turn, imagesOf(turn))];
    return turn.text === '' ? [] : [buildAssistantTurn(parseReply(turn.text))];
  });
  return [...system, ...turns];
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
