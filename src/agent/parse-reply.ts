/** An answer of the model, taken apart. */
export interface Reply {
  /** What the model thought, without tags. */
  readonly thinking: string;
  /** The action in words (`do(...)`, `finish(...)`), or plain text when the answer is none. */
  readonly actionText: string;
  /**
   * The thinking as Open-AutoGLM's client keeps it: all that stands before the action, tags included when
   * the action was found by its own name. The official history is made of it.
   */
  readonly rawThinking: string;
}

/** An answer that is still being written. */
export interface PartialReply {
  readonly thinking: string;
  /** The action or text so far; empty while the model thinks. */
  readonly answer: string;
  /** True once the model has begun its answer. */
  readonly isAnswering: boolean;
}

/** Beginnings of an action, in the order in which Open-AutoGLM's client looks for them. */
const ACTION_STARTS = ['finish(message=', 'do(action='] as const;
const THINK_START = '<think>';
const ANSWER_START = '<answer>';
const ANSWER_END = '</answer>';
const MARKERS = [...ACTION_STARTS, THINK_START, '</think>', ANSWER_START, ANSWER_END];

/**
 * Takes a finished answer apart as Open-AutoGLM's client does: the first of `finish(message=`,
 * `do(action=`, `<answer>` that occurs anywhere divides it; without any, all of it is the action. A
 * trailing `</answer>` (the stop token, when a runtime prints it) is dropped.
 */
export function parseReply(text: string): Reply {
  const start = ACTION_STARTS.find((name) => text.includes(name));
  if (start !== undefined) {
    const at = text.indexOf(start);
    const rawThinking = text.slice(0, at).trim();
    return { thinking: dropTags(rawThinking), actionText: dropAnswerEnd(text.slice(at)), rawThinking };
  }
  const at = text.indexOf(ANSWER_START);
  if (at === -1) return { thinking: '', actionText: dropAnswerEnd(text), rawThinking: '' };
  const thinking = dropTags(text.slice(0, at));
  return { thinking, actionText: dropAnswerEnd(text.slice(at + ANSWER_START.length)), rawThinking: thinking };
}

/**
 * Takes an unfinished answer apart for display. The beginning of a tag or of an action is held back until it
 * is known what it is, so that no tag ever flickers up; the last call's result is that of `parseReply`,
 * except that an answer which ends inside its thinking shows it as thinking.
 */
export function parsePartialReply(text: string): PartialReply {
  const settled = text.slice(0, text.length - heldBackLength(text));
  const isAnswering = [...ACTION_STARTS, ANSWER_START].some((name) => settled.includes(name));
  if (isAnswering) {
    const { thinking, actionText } = parseReply(settled);
    return { thinking, answer: actionText, isAnswering };
  }
  const isThinking = settled === '' || settled.trimStart().startsWith(THINK_START);
  return isThinking
    ? { thinking: dropTags(settled), answer: '', isAnswering: false }
    : { thinking: '', answer: dropAnswerEnd(settled), isAnswering: true };
}

function dropTags(text: string): string {
  return text.replaceAll(/<\/?(?:think|answer)>/g, '').trim();
}

function dropAnswerEnd(text: string): string {
  const trimmed = text.trim();
  return trimmed.endsWith(ANSWER_END) ? trimmed.slice(0, -ANSWER_END.length).trim() : trimmed;
}

function heldBackLength(text: string): number {
  const lengths = MARKERS.flatMap((marker) =>
    Array.from({ length: marker.length - 1 }, (_, i) => i + 1).filter((length) =>
      text.endsWith(marker.slice(0, length)),
    ),
  );
  return Math.max(0, ...lengths);
}
