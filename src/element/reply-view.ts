import { parseAction } from '../agent/parse-action.ts';
import type { AgentAction } from '../agent/parse-action.ts';
import { parsePartialReply, parseReply } from '../agent/parse-reply.ts';

/** An answer as it is shown: reasoning, then an action card or prose or both. */
export interface ReplyView {
  readonly thinking: string;
  /** True while the model has not begun to answer. */
  readonly isThinking: boolean;
  /** Markdown to show; empty where the answer is only an action. */
  readonly prose: string;
  /** The action once it is whole. `finish` is shown as prose with a note. */
  readonly action: AgentAction | null;
  /** The action as the model wrote it, also while it is being written; empty without one. */
  readonly actionText: string;
}

const EMPTY: ReplyView = { thinking: '', isThinking: false, prose: '', action: null, actionText: '' };

/** What to show of an answer that may still be growing. */
export function viewReply(text: string, isComplete: boolean): ReplyView {
  const { thinking, answer, isAnswering } = splitReply(text, isComplete);
  const view = { ...EMPTY, thinking, isThinking: !isAnswering && !isComplete };
  if (!/^(?:do|finish)\(/.test(answer)) return { ...view, prose: answer };
  if (!isComplete) return viewPartialAction(view, answer);
  const action = parseAction(answer);
  if (action.kind !== 'finish') return { ...view, action, actionText: answer };
  return action.unparsed
    ? { ...view, prose: answer }
    : { ...view, action, actionText: answer, prose: action.message };
}

interface SplitReply {
  readonly thinking: string;
  readonly answer: string;
  readonly isAnswering: boolean;
}

function splitReply(text: string, isComplete: boolean): SplitReply {
  const marked = /<answer>|do\(action=|finish\(message=/.test(text);
  if (!marked) {
    // General reasoning models close the thinking and go on without a tag.
    const end = text.indexOf('</think>');
    if (end !== -1) {
      const thinking = text.slice(0, end).replace(/^\s*<think>/, '');
      const answer = text.slice(end + '</think>'.length).replace(/<(?:a(?:n(?:s(?:w(?:er?)?)?)?)?)?$/, '');
      return { thinking: thinking.trim(), answer: answer.trim(), isAnswering: answer.trim() !== '' };
    }
  }
  if (!marked || !isComplete) return parsePartialReply(text);
  const reply = parseReply(text);
  return { thinking: reply.thinking, answer: reply.actionText, isAnswering: true };
}

/** The message of a `finish` streams as prose; other actions stream as they are written. */
function viewPartialAction(view: ReplyView, answer: string): ReplyView {
  const finish = /^finish\(message=["']?/.exec(answer);
  if (finish === null) return { ...view, actionText: answer };
  return { ...view, prose: answer.slice(finish[0].length).replace(/["']?\)?$/, ''), actionText: answer };
}
