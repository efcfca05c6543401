/**
 * Scoring of answers. The comparison with the reference's own scores reads `../shared` and says so when that
 * folder is absent; the table of cases always runs.
 */
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseEvalCases, scoreAnswer, summarizeEval } from './eval.ts';
import type { EvalCase, EvalRow, ExpectedAnswer, ImageSize } from './eval.ts';

const SCREEN: ImageSize = { width: 280, height: 560 };

describe('scoreAnswer', () => {
  const tap: ExpectedAnswer = {
    action: 'Tap',
    answer: 'do(action="Tap", element=[500,412])',
    box: [0, 209, 280, 253],
    point: [500, 412],
  };
  const finish: ExpectedAnswer = { action: 'finish', answer: 'finish(message="a")' };
  const rows: [string, ExpectedAnswer, string, [boolean, boolean | null, boolean]][] = [
    ['the expected answer', tap, `<think>t</think><answer>${tap.answer}</answer>`, [true, true, true]],
    ['without the stop token', tap, `<think>t</think><answer>${tap.answer}`, [true, true, true]],
    ['another point in the box', tap, 'do(action="Tap", element=[500,416])', [true, true, false]],
    ['the edge of the box', tap, 'do(action="Tap", element=[1000,375])', [true, true, false]],
    ['a point outside', tap, 'do(action="Tap", element=[500,460])', [true, false, false]],
    ['another action at the point', tap, 'do(action="Long Press", element=[500,412])', [false, false, false]],
    ['a tap without a point', tap, 'do(action="Tap")', [true, false, false]],
    [
      'the last of two answers',
      finish,
      '<answer>x</answer><answer>finish(message="a")</answer>',
      [true, null, true],
    ],
    ['words for a finish', finish, '<answer>a</answer>', [false, null, false]],
    ['words for words', { action: 'text', answer: 'Hi.' }, '<think>t</think><answer>Hi.', [true, null, true]],
  ];
  it.each(rows)('judges %s', (_name, expected, text, [actionOk, tapInBox, exact]) => {
    expect(scoreAnswer(expected, text, SCREEN)).toEqual({ actionOk, tapInBox, exact });
  });
});

describe('parseEvalCases', () => {
  it('names the line that is no case', () => {
    const good = JSON.stringify({
      id: 'a',
      image: null,
      kind: 'k',
      messages: [],
      expected: { action: 'text', answer: 'b' },
      reference: { text: 'b', ids: [] },
    });
    expect(parseEvalCases(`${good}\n\n${good}\n`)).toHaveLength(2);
    expect(() => parseEvalCases(`${good}\n{"id":"b"}`)).toThrowError(/^Line 2 of the cases/);
    expect(() => parseEvalCases('nonsense')).toThrowError(
      expect.objectContaining({ code: 'request-invalid' }),
    );
    expect(() => parseEvalCases('null')).toThrowError(/^Line 1/);
  });
});

const FOLDER = '../shared/models/autoglm-tiny';
type ReferenceScore = { action_ok: boolean; exact: boolean; tap_in_box?: boolean };

/** Width and height of a PNG, from its header. */
function readPngSize(path: string): ImageSize {
  const header = readFileSync(path).subarray(16, 24);
  return { width: header.readUInt32BE(0), height: header.readUInt32BE(4) };
}

function defineReferenceTests(): void {
  const cases = parseEvalCases(readFileSync(`${FOLDER}/eval-public/cases.jsonl`, 'utf8'));
  const score = (key: 'reference' | 'reference_q4'): EvalRow[] =>
    cases.map((item) => {
      const { text } = (item as EvalCase & Record<typeof key, { text: string }>)[key];
      const size = item.image === null ? null : readPngSize(`${FOLDER}/eval-public/${item.image}`);
      return { id: item.id, text, ...scoreAnswer(item.expected, text, size) };
    });

  it.each(['reference', 'reference_q4'] as const)(
    'scores all 200 answers of %s as the reference did',
    (key) => {
      expect(cases).toHaveLength(200);
      score(key).forEach((row, index) => {
        const { action_ok, exact, tap_in_box } = (cases[index] as unknown as Record<string, ReferenceScore>)[
          key
        ]!;
        expect(row).toMatchObject({ actionOk: action_ok, exact, tapInBox: tap_in_box ?? null });
      });
    },
  );

  const totals = [
    ['reference', 'float32'],
    ['reference_q4', 'q4'],
  ] as const;
  it.each(totals)('reproduces the totals of %s', (key, metric) => {
    type Totals = { n: number; action: number; tap_in_box: number; taps: number; exact: number };
    const metrics = JSON.parse(readFileSync(`${FOLDER}/metrics.json`, 'utf8')) as {
      'eval-public': Record<string, { screens: Totals; text_only: Totals }>;
      same_answer_f32_q4: { 'eval-public': number };
    };
    const { screens, text_only: textOnly } = metrics['eval-public'][metric]!;
    const rows = score(key);
    const summarize = (withImage: boolean) => {
      const chosen = cases.flatMap((item, index) => ((item.image !== null) === withImage ? [index] : []));
      return summarizeEval(
        chosen.map((i) => cases[i]!),
        chosen.map((i) => rows[i]!),
      );
    };
    const pictures = summarize(true);
    expect(pictures.cases).toBe(screens.n);
    expect(pictures.actionAccuracy).toBeCloseTo(screens.action, 4);
    expect(pictures.tapAccuracy).toBeCloseTo(screens.tap_in_box, 4);
    expect(pictures.exact).toBeCloseTo(screens.exact, 4);
    expect(pictures.rows.filter(({ tapInBox }) => tapInBox !== null)).toHaveLength(screens.taps);
    const words = summarize(false);
    expect(words.cases).toBe(textOnly.n);
    expect(words.actionAccuracy).toBeCloseTo(textOnly.action, 4);
    expect(words.tapAccuracy).toBeNull();
    expect(words.exact).toBeCloseTo(textOnly.exact, 4);
    const same = key === 'reference' ? 1 : metrics.same_answer_f32_q4['eval-public'];
    expect(summarizeEval(cases, rows).sameAsReference).toBeCloseTo(same, 4);
  });

  it('does not mind whether the stop token is printed', () => {
    const rows = score('reference').map((row) => ({ ...row, text: row.text.replace(/<\/answer>$/, '') }));
    const summary = summarizeEval(cases, rows);
    expect(summary.sameAsReference).toBe(1);
    expect(Object.values(summary.byKind).reduce((sum, kind) => sum + kind.cases, 0)).toBe(200);
  });
}

describe('reference scores', () => {
  if (existsSync(FOLDER)) return defineReferenceTests();
  it('did not run: the folder ../shared/models/autoglm-tiny is absent', () => {
    console.warn(`Scoring was not compared with the reference: ${FOLDER} is absent.`);
    expect(existsSync(FOLDER)).toBe(false);
  });
});
