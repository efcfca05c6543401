import { StopStrings } from '../sampling/stop-strings.ts';
import { CALL_ARGUMENTS, CALL_BEGIN, CALL_END } from './tool-request.ts';

/** A piece of an answer's text, told apart by what it is. */
export type AnswerPart =
  | { readonly type: 'content' | 'reasoning'; readonly text: string }
  | { readonly type: 'call-begin'; readonly name: string }
  | { readonly type: 'call-arguments'; readonly text: string };

/** What an answer may hold beside plain text. */
export interface AnswerForm {
  /** The thinking is told apart. */
  readonly hasReasoning: boolean;
  /** Calls of functions are told apart. */
  readonly hasCalls: boolean;
}

type State = 'start' | 'thinking' | 'answer-tag' | 'text' | 'call-name' | 'call-arguments' | 'between-calls';

const THINK_BEGIN = '<think>';
const THINK_END = '</think>';
const ANSWER_BEGIN = '<answer>';
const ANSWER_END = '</answer>';

/**
 * Takes a streamed answer apart: thinking, text, and calls of functions with their arguments. Of a mark that may be
 * on its way nothing is given out, so the parts are the same however the text is cut.
 */
export class AnswerParser {
  readonly #form: AnswerForm;
  #state: State;
  /** Text of the present state that is not given out yet. */
  #held = '';
  #parts: AnswerPart[] = [];
  /** Ends the state's text where one of its marks does. */
  #marks: StopStrings;

  constructor(form: AnswerForm) {
    this.#form = form;
    this.#state = form.hasReasoning ? 'start' : 'text';
    this.#marks = this.#createMarks();
  }

  /** Adds text and gives the parts that are certain now. */
  push(text: string): AnswerPart[] {
    if (!this.#form.hasReasoning && !this.#form.hasCalls)
      return text === '' ? [] : [{ type: 'content', text }];
    this.#parts = [];
    // Unit by unit: what follows a mark belongs to the next state.
    for (let index = 0; index < text.length; index++) this.#take(text[index] as string);
    return merge(this.#parts);
  }

  /** Ends the answer and gives what was held back. */
  flush(): AnswerPart[] {
    this.#parts = [];
    const rest = this.#marks.flush().text;
    switch (this.#state) {
      case 'start':
      case 'answer-tag':
        this.#give('content', this.#held + rest);
        break;
      case 'thinking':
        this.#give('reasoning', rest);
        break;
      case 'text':
        this.#give('content', rest);
        break;
      case 'call-name':
        // Cut off before its name: what there is of it stays visible.
        this.#give('content', CALL_BEGIN + this.#held + rest);
        break;
      case 'call-arguments':
        if (rest !== '') this.#parts.push({ type: 'call-arguments', text: rest });
        break;
      case 'between-calls':
        this.#give('content', (this.#held + rest).trimStart());
    }
    this.#held = '';
    return merge(this.#parts);
  }

  #take(unit: string): void {
    if (this.#state === 'start') return this.#takeOpening(unit, THINK_BEGIN, 'thinking', 'text');
    if (this.#state === 'answer-tag') return this.#takeOpening(unit, ANSWER_BEGIN, 'text', 'text');
    const { text, stopped } = this.#marks.push(unit);
    if (text !== '') this.#takeText(text);
    if (stopped !== undefined) this.#takeMark(stopped);
  }

  /** At the beginning of a state: white space and then one mark, or else the state `otherwise` begins with all of it. */
  #takeOpening(unit: string, mark: string, next: State, otherwise: State): void {
    this.#held += unit;
    const begun = this.#held.trimStart();
    if (begun === mark) {
      this.#held = '';
      this.#enter(next);
    } else if (!mark.startsWith(begun)) {
      // The line breaks between thinking and text are no part of either.
      const text = this.#state === 'answer-tag' ? begun : this.#held;
      this.#held = '';
      this.#enter(otherwise);
      for (const one of text.split('')) this.#take(one);
    }
  }

  #takeText(text: string): void {
    if (this.#state === 'thinking') return this.#give('reasoning', text);
    if (this.#state === 'call-arguments') return void this.#parts.push({ type: 'call-arguments', text });
    if (this.#state === 'call-name') {
      this.#held += text;
      return;
    }
    if (this.#state === 'between-calls') {
      this.#held += text;
      if (this.#held.trim() === '') return;
      const said = this.#held.trimStart();
      this.#held = '';
      this.#state = 'text';
      return this.#give('content', said);
    }
    this.#give('content', text);
  }

  #takeMark(mark: string): void {
    switch (mark) {
      case THINK_END:
        return this.#enter('answer-tag');
      case CALL_BEGIN:
        this.#held = '';
        return this.#enter('call-name');
      case CALL_ARGUMENTS:
        this.#parts.push({ type: 'call-begin', name: readName(this.#held) });
        this.#held = '';
        return this.#enter('call-arguments');
      case CALL_END:
        return this.#enter('between-calls');
      default:
        // `</answer>`: more text would be new.
        return this.#enter('text');
    }
  }

  #enter(state: State): void {
    this.#state = state;
    this.#marks = this.#createMarks();
  }

  #createMarks(): StopStrings {
    const { hasReasoning, hasCalls } = this.#form;
    switch (this.#state) {
      case 'thinking':
        return new StopStrings([THINK_END]);
      case 'call-name':
        return new StopStrings([CALL_ARGUMENTS]);
      case 'call-arguments':
        return new StopStrings([CALL_END]);
      default:
        return new StopStrings([...(hasCalls ? [CALL_BEGIN] : []), ...(hasReasoning ? [ANSWER_END] : [])]);
    }
  }

  #give(type: 'content' | 'reasoning', text: string): void {
    if (text !== '') this.#parts.push({ type, text });
  }
}

/** The name of a call is a JSON string; a model that is not held to the grammar may forget its quotes. */
function readName(text: string): string {
  return text.trim().replace(/^"|"$/g, '');
}

/** Joins neighbours of one kind: a push goes unit by unit. */
function merge(parts: readonly AnswerPart[]): AnswerPart[] {
  const merged: AnswerPart[] = [];
  for (const part of parts) {
    const last = merged.at(-1);
    if (part.type !== 'call-begin' && last?.type === part.type) {
      merged[merged.length - 1] = { type: part.type, text: (last as { text: string }).text + part.text };
    } else merged.push(part);
  }
  return merged;
}
