import { describe, expect, it } from 'vitest';
import { AnswerParser, type AnswerForm, type AnswerPart } from './answer-parser.ts';

const BOTH: AnswerForm = { hasReasoning: true, hasCalls: true };

/** All parts of an answer that comes in pieces, neighbours of one kind joined. */
function parse(pieces: readonly string[], form: AnswerForm): AnswerPart[] {
  const parser = new AnswerParser(form);
  const joined: AnswerPart[] = [];
  for (const part of [...pieces.flatMap((piece) => parser.push(piece)), ...parser.flush()]) {
    const last = joined.at(-1);
    if (part.type !== 'call-begin' && last?.type === part.type) {
      joined[joined.length - 1] = { type: part.type, text: (last as { text: string }).text + part.text };
    } else joined.push(part);
  }
  return joined;
}

const call = (name: string, text: string): string =>
  `<tool_call>\n{"name": "${name}", "arguments": ${text}}\n</tool_call>`;

const CASES: [string, AnswerForm, AnswerPart[]][] = [
  ['plain text', BOTH, [{ type: 'content', text: 'plain text' }]],
  [
    '<think>no</think>',
    { hasReasoning: false, hasCalls: true },
    [{ type: 'content', text: '<think>no</think>' }],
  ],
  [
    '<think>why\n</think><answer>do(x)</answer>',
    BOTH,
    [
      { type: 'reasoning', text: 'why\n' },
      { type: 'content', text: 'do(x)' },
    ],
  ],
  [
    ' \n<think>a</think>\n\nb < c',
    BOTH,
    [
      { type: 'reasoning', text: 'a' },
      { type: 'content', text: 'b < c' },
    ],
  ],
  ['<think>cut of', BOTH, [{ type: 'reasoning', text: 'cut of' }]],
  ['<think>cut </thi', BOTH, [{ type: 'reasoning', text: 'cut </thi' }]],
  ['<thin', BOTH, [{ type: 'content', text: '<thin' }]],
  ['a <think> b', BOTH, [{ type: 'content', text: 'a <think> b' }]],
  [
    `<think>t</think>Look: ${call('f', '{"a": "}"}')}\n${call('g_1', '{}')}`,
    BOTH,
    [
      { type: 'reasoning', text: 't' },
      { type: 'content', text: 'Look: ' },
      { type: 'call-begin', name: 'f' },
      { type: 'call-arguments', text: '{"a": "}"}' },
      { type: 'call-begin', name: 'g_1' },
      { type: 'call-arguments', text: '{}' },
    ],
  ],
  [
    `${call('f', '{"x": {"y": [1]}}')}\nand more`,
    { hasReasoning: false, hasCalls: true },
    [
      { type: 'call-begin', name: 'f' },
      { type: 'call-arguments', text: '{"x": {"y": [1]}}' },
      { type: 'content', text: 'and more' },
    ],
  ],
  [
    '<tool_call>\n{"name": "f", "arguments": {"a": 1',
    { hasReasoning: false, hasCalls: true },
    [
      { type: 'call-begin', name: 'f' },
      { type: 'call-arguments', text: '{"a": 1' },
    ],
  ],
  ['<tool_call', { hasReasoning: false, hasCalls: true }, [{ type: 'content', text: '<tool_call' }]],
  [
    '<tool_call>\n{"name": "f',
    { hasReasoning: false, hasCalls: true },
    [{ type: 'content', text: '<tool_call>\n{"name": "f' }],
  ],
];

describe('AnswerParser', () => {
  it.each(CASES)('takes %j apart, however it is cut', (text, form, parts) => {
    expect(parse([text], form)).toEqual(parts);
    expect(parse(text.split(''), form)).toEqual(parts);
    for (let first = 0; first <= text.length; first++) {
      for (let second = first; second <= text.length; second += 3) {
        const pieces = [text.slice(0, first), text.slice(first, second), text.slice(second)];
        expect(parse(pieces, form)).toEqual(parts);
      }
    }
  });

  it('gives text out as soon as it can be no mark', () => {
    const parser = new AnswerParser(BOTH);
    expect(parser.push('<think>one')).toEqual([{ type: 'reasoning', text: 'one' }]);
    expect(parser.push(' two <')).toEqual([{ type: 'reasoning', text: ' two ' }]);
    expect(parser.push('b')).toEqual([{ type: 'reasoning', text: '<b' }]);
    expect(parser.push('</think>x')).toEqual([{ type: 'content', text: 'x' }]);
    expect(parser.push('<tool_call>\n{"name": "f", "arguments": {"a": "1')).toEqual([
      { type: 'call-begin', name: 'f' },
      { type: 'call-arguments', text: '{"a": "1' },
    ]);
    expect(parser.push('23')).toEqual([{ type: 'call-arguments', text: '23' }]);
  });

  it('leaves text alone where nothing is to be told apart', () => {
    const text = `<think>x</think>${call('f', '{}')}`;
    expect(parse([text], { hasReasoning: false, hasCalls: false })).toEqual([{ type: 'content', text }]);
  });
});
