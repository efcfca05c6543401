import type { AgentAction } from '../agent/parse-action.ts';
import { viewAction } from './action-view.ts';
import type { ActionView, ScreenSize } from './action-view.ts';
import type { AssistantTurn, Turn, TurnImage } from './conversation.ts';
import { viewReply } from './reply-view.ts';
import type { Localizer } from './strings/localizer.ts';

/** A screen reader is told this much of a long answer; the rest is read where it stands. */
const ANNOUNCED_LENGTH = 300;

/** The one announcement at the end of an answer. */
export function summaryOf(turn: AssistantTurn, words: Localizer): string {
  if (turn.finish === 'abort') return words.say('stoppedAnnouncement');
  if (turn.finish === 'fault') return words.say('failedAnnouncement');
  const { prose, action } = viewReply(turn.text, true);
  const view = action === null ? null : viewAction(action, words, null);
  const text = prose === '' ? `${view?.title ?? ''} ${view?.detail ?? ''}`.trim() : prose;
  return words.say('replied', { text: text.slice(0, ANNOUNCED_LENGTH) });
}

/** The action of a whole answer; null for text, and for an answer that was stopped. */
export function actionOf(turn: AssistantTurn): AgentAction | null {
  return turn.finish === 'stop' ? viewReply(turn.text, true).action : null;
}

/** The action of an answer in words and as a mark. */
export function actionViewOf(turn: AssistantTurn, words: Localizer, screen: ScreenSize): ActionView | null {
  const { action } = viewReply(turn.text, true);
  return action === null ? null : viewAction(action, words, screen);
}

/** The screenshot that an answer is about: the newest of the user's last turn before it. */
export function screenImageOf(turns: readonly Turn[], turnId: string): TurnImage | null {
  const end = turns.findIndex(({ id }) => id === turnId);
  const asked = turns.slice(0, end === -1 ? turns.length : end).findLast((turn) => turn.role === 'user');
  return asked?.role === 'user' ? (asked.images.at(-1) ?? null) : null;
}
