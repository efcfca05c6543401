import { AutoglmError } from '../base/errors.ts';

/** What a right answer is. */
export interface ExpectedAnswer {
  /** Name of the action: `Tap`, `Swipe`, ..., `finish`, or `text` for plain words. */
  readonly action: string;
  /** The whole answer, for `exact`. */
  readonly answer: string;
  /** Target in pixels of the image, edges included: left, top, right, bottom. */
  readonly box?: readonly [left: number, top: number, right: number, bottom: number];
  /** Middle of the target, 0..999. */
  readonly point?: readonly [x: number, y: number];
}

/** One line of cases.jsonl. */
export interface EvalCase {
  readonly id: string;
  /** Path of the screenshot relative to the file, or null. */
  readonly image: string | null;
  readonly kind: string;
  /** The conversation; image parts are `{type: 'image', image: path}`. */
  readonly messages: readonly unknown[];
  /** Tokens of the prompt, image tokens included, when the file tells. */
  readonly prompt_tokens?: number;
  readonly expected: ExpectedAnswer;
  /** The answer of the reference runtime. */
  readonly reference: { readonly text: string; readonly ids: readonly number[] };
}

/** Width and height of an image in pixels. */
export interface ImageSize {
  readonly width: number;
  readonly height: number;
}

/** The three judgements of an answer. */
export interface AnswerScore {
  /** The action has the right name. */
  readonly actionOk: boolean;
  /** The point lies in the target; null where nothing is to be tapped. */
  readonly tapInBox: boolean | null;
  /** The answer is the expected one to the letter. */
  readonly exact: boolean;
}

/** One judged answer. */
export interface EvalRow extends AnswerScore {
  readonly id: string;
  readonly text: string;
}

/** Shares of 0..1; `tapAccuracy` is null where no case has a target. */
export interface EvalTotals {
  readonly cases: number;
  readonly actionAccuracy: number;
  readonly tapAccuracy: number | null;
  readonly exact: number;
}

/** The outcome of an evaluation: what `autoglm eval --json` prints. */
export interface EvalSummary extends EvalTotals {
  /** Share of answers with the text of the reference's. */
  readonly sameAsReference: number;
  readonly byKind: Readonly<Record<string, EvalTotals>>;
  readonly rows: readonly EvalRow[];
}

/**
 * Reads cases.jsonl.
 *
 * @throws AutoglmError `request-invalid` with the line that is no case.
 */
export function parseEvalCases(text: string): EvalCase[] {
  return text.split('\n').flatMap((line, index) => (line.trim() === '' ? [] : [parseCase(line, index + 1)]));
}

/**
 * Judges an answer as the reference evaluation does: the answer is what follows the last `<answer>`; a
 * tap's point must be whole numbers without spaces, and of the expected action.
 *
 * @param imageSize - of the screenshot; needed when `expected` has a box
 */
export function scoreAnswer(
  expected: ExpectedAnswer,
  text: string,
  imageSize: ImageSize | null,
): AnswerScore {
  const answer = text.split('<answer>').at(-1)!.replaceAll('</answer>', '');
  const action = readActionName(answer);
  const actionOk = action === expected.action;
  return {
    actionOk,
    tapInBox: expected.box === undefined ? null : actionOk && isInBox(answer, expected.box, imageSize),
    exact: answer === expected.answer,
  };
}

/** Totals over judged answers; `rows[i]` belongs to `cases[i]`. */
export function summarizeEval(cases: readonly EvalCase[], rows: readonly EvalRow[]): EvalSummary {
  const same = rows.filter(
    (row, index) => withoutStop(row.text) === withoutStop(cases[index]!.reference.text),
  );
  const kinds = [...new Set(cases.map(({ kind }) => kind))].toSorted();
  const byKind = kinds.map((kind) => [kind, total(rows.filter((_, i) => cases[i]!.kind === kind))] as const);
  return {
    ...total(rows),
    sameAsReference: share(same.length, rows.length),
    byKind: Object.fromEntries(byKind),
    rows,
  };
}

function total(rows: readonly EvalRow[]): EvalTotals {
  const taps = rows.filter(({ tapInBox }) => tapInBox !== null);
  const hits = taps.filter(({ tapInBox }) => tapInBox);
  return {
    cases: rows.length,
    actionAccuracy: share(rows.filter(({ actionOk }) => actionOk).length, rows.length),
    tapAccuracy: taps.length === 0 ? null : share(hits.length, taps.length),
    exact: share(rows.filter(({ exact }) => exact).length, rows.length),
  };
}

function share(count: number, of: number): number {
  return of === 0 ? 0 : count / of;
}

function readActionName(answer: string): string {
  const action = /^do\(action="([^"]+)"/.exec(answer)?.[1];
  return action ?? (answer.startsWith('finish(') ? 'finish' : 'text');
}

function isInBox(answer: string, box: NonNullable<ExpectedAnswer['box']>, size: ImageSize | null): boolean {
  const match = /element=\[(\d+),(\d+)\]/.exec(answer);
  if (match === null || size === null) return false;
  const x = (Number(match[1]) * size.width) / 1000;
  const y = (Number(match[2]) * size.height) / 1000;
  const [left, top, right, bottom] = box;
  return left <= x && x <= right && top <= y && y <= bottom;
}

// The reference's texts end with the printed stop token; a runtime does not print it.
function withoutStop(text: string): string {
  return text.replace(/<\/answer>$/, '');
}

function parseCase(line: string, lineNumber: number): EvalCase {
  const value = parseLine(line);
  const { id, kind, messages, expected, reference } = value as Partial<EvalCase>;
  const isCase =
    typeof id === 'string' &&
    typeof kind === 'string' &&
    Array.isArray(messages) &&
    typeof expected?.action === 'string' &&
    typeof expected.answer === 'string' &&
    typeof reference?.text === 'string';
  if (isCase) return value as EvalCase;
  throw new AutoglmError('request-invalid', `Line ${lineNumber} of the cases is no case.`, {
    value: line.slice(0, 80),
    limit: 'a JSON object with id, kind, messages, expected {action, answer} and reference {text}',
    cure: 'Correct the line.',
  });
}

function parseLine(line: string): object {
  try {
    return (JSON.parse(line) as object | null) ?? {};
  } catch {
    return {};
  }
}
