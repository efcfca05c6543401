import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Tokenizer } from '../../tokenizer/tokenizer.ts';
import { EMBEDDED_MODEL } from '../embedded-model.test-support.ts';
import { AnswerGrammars, type GrammarConstraint } from './grammar-compiler.ts';
import type { GrammarSpec } from './grammar-spec.ts';
import { loadXGrammarInNode } from './load-xgrammar-node.ts';
import { toVocabulary } from './vocabulary.ts';

const tokenizer = Tokenizer.create({
  tokenizerJson: readFileSync(join(EMBEDDED_MODEL, 'tokenizer.json'), 'utf8'),
  tokenizerConfigJson: readFileSync(join(EMBEDDED_MODEL, 'tokenizer_config.json'), 'utf8'),
});
const EOS = tokenizer.tokenToId('<|endoftext|>') as number;

function createGrammars(): AnswerGrammars {
  return new AnswerGrammars(loadXGrammarInNode, () => toVocabulary(tokenizer, [EOS]));
}

async function allows(constraint: GrammarConstraint, id: number): Promise<boolean> {
  const mask = (await constraint.nextMask()) as Uint32Array;
  return ((mask[id >> 5] >>> (id & 31)) & 1) === 1;
}

/** Whether an answer may be this text, whole: token by token, through the masks. */
async function accepts(grammars: AnswerGrammars, spec: GrammarSpec, text: string): Promise<boolean> {
  const constraint = await grammars.constrain(spec, 'response_format');
  try {
    for (const id of tokenizer.encode(text)) {
      if (!(await allows(constraint, id))) return false;
      constraint.accept(id);
    }
    return await allows(constraint, EOS);
  } finally {
    constraint.dispose();
  }
}

const CALLS = (mode: 'auto' | 'required', parallel: boolean, otherwise?: GrammarSpec): GrammarSpec => ({
  kind: 'tool-calls',
  mode,
  parallel,
  otherwise,
  tools: ['f', 'g'].map((name) => ({
    begin: `<tool_call>\n{"name": "${name}", "arguments": `,
    parameters: { type: 'object', properties: { a: { type: 'integer' } }, required: ['a'] },
    strict: true,
    end: '}\n</tool_call>',
  })),
});
const call = (name: string, a: unknown = 1): string =>
  `<tool_call>\n{"name": "${name}", "arguments": ${JSON.stringify({ a }).replace(':', ': ')}}\n</tool_call>`;
function bounded(first: string, second: string, list: string, whole: string): string {
  return `{"const": ${first}, "minimum": ${second}, "list": ${list}, "given": {"type":"number","maximum":5}, "whole": ${whole}}`;
}
const OBJECT: GrammarSpec = { kind: 'json-schema', schema: { type: 'object' }, strict: false };

describe('AnswerGrammars', () => {
  it.each<[string, GrammarSpec, string[], string[]]>([
    ['any object', OBJECT, ['{}', '{"a": [1, {"b": null}]}'], ['', '[1]', '"a"', '{"a": 1', '{"a":\n1}']],
    [
      'a schema',
      {
        kind: 'json-schema',
        schema: { type: 'object', properties: { a: { enum: ['x', '点'] } }, required: ['a'] },
        strict: true,
      },
      ['{"a": "x"}', '{"a": "点"}'],
      ['{}', '{"a": "y"}', '{"a": "x", "b": 1}'],
    ],
    [
      'numbers that a program can read',
      { kind: 'json-schema', schema: { type: 'array', items: { type: 'number' } }, strict: true },
      ['[0]', '[-2.5, 3e10]', '[123456789012345]', '[1.5E-99]'],
      ['[1e999]', '[1e-100]', '[1234567890123456]', `[0.${'1'.repeat(16)}]`],
    ],
    [
      'integers that a program can read',
      { kind: 'json-schema', schema: { type: 'integer' }, strict: true },
      ['0', '-999999999999999'],
      ['1e3', '1234567890123456'],
    ],
    [
      'numbers within bounds, wherever a schema has them',
      {
        kind: 'json-schema',
        schema: {
          type: 'object',
          properties: {
            // Names that are keywords elsewhere.
            const: { type: 'number', maximum: 5, minimum: 4.5 },
            minimum: { $ref: '#/$defs/low' },
            list: {
              type: 'array',
              prefixItems: [{ type: ['number', 'integer', 'null'], exclusiveMaximum: 1, minimum: 0 }],
              items: { anyOf: [{ type: 'number', minimum: 2.5, maximum: 2.5 }, { type: 'boolean' }] },
            },
            given: { const: { type: 'number', maximum: 5 } },
            whole: { type: 'integer', minimum: -3, maximum: 2.5 },
          },
          required: ['const', 'minimum', 'list', 'given', 'whole'],
          $defs: { low: { type: 'number', minimum: -0.5, exclusiveMaximum: 0 } },
        },
        strict: true,
      },
      [
        bounded('4.5', '-0.5', '[0]', '-3'),
        bounded('5.0', '-0.0001', '[null, 2.5, true]', '2'),
        bounded('4.987654', '-0.25', '[0.999999, 2.500]', '0'),
      ],
      [
        bounded('5.39', '-0.5', '[0]', '2'),
        bounded('4.4', '-0.5', '[0]', '2'),
        bounded('5', '-0.0', '[0]', '2'),
        bounded('5', '-0.6', '[0]', '2'),
        bounded('5', '-0.5', '[1]', '2'),
        bounded('5', '-0.5', '[0, 2.4]', '2'),
        bounded('5', '-0.5', '[0]', '-'),
        bounded('5', '-0.5', '[0]', '3'),
        bounded('5', '-0.5', '[0]', '2.0'),
      ],
    ],
    [
      'a grammar',
      { kind: 'ebnf', grammar: 'root ::= "yes" | "no" [0-9]{2}' },
      ['yes', 'no42'],
      ['no', 'yes1'],
    ],
    ['a regex', { kind: 'regex', regex: '[a-c]+x\\d' }, ['abcx1'], ['x1', 'abcx']],
    [
      'a structural tag',
      { kind: 'structural-tag', tag: '{"format": {"type": "const_string", "value": "hello"}}' },
      ['hello'],
      ['hell', 'hello!'],
    ],
    [
      'text or calls',
      CALLS('auto', true),
      ['', 'hello', `hello${call('f')}`, `${call('g')}\n${call('f')}`],
      ['<tool_call>', `${call('h')}`, call('f', 'x')],
    ],
    ['text or a call', CALLS('auto', false), ['hello', call('f')], [`${call('g')}\n${call('f')}`]],
    [
      'calls',
      CALLS('required', true),
      [call('f'), `${call('g')}\n${call('f')}`],
      ['', 'hello', `x${call('f')}`],
    ],
    ['a call', CALLS('required', false), [call('g')], ['', `${call('g')}\n${call('f')}`]],
    ['a call or an object', CALLS('auto', false, OBJECT), [call('g'), '{"b": 2}'], ['', 'hello']],
  ])('allows %s and nothing else', async (_, spec, right, wrong) => {
    const grammars = createGrammars();
    for (const text of right) expect([text, await accepts(grammars, spec, text)]).toEqual([text, true]);
    for (const text of wrong) expect([text, await accepts(grammars, spec, text)]).toEqual([text, false]);
  });

  it('allows the rest of what was begun, and refuses what is no beginning', async () => {
    const grammars = createGrammars();
    const begun = (form: GrammarSpec, prefix: string): GrammarSpec => ({ kind: 'begun', form, prefix });
    const regex: GrammarSpec = { kind: 'regex', regex: 'The colour is (red|blue)' };
    expect(await accepts(grammars, begun(regex, 'The colour is '), 'red')).toBe(true);
    expect(await accepts(grammars, begun(regex, 'The colour is '), 'The colour is red')).toBe(false);
    const rating: GrammarSpec = {
      kind: 'json-schema',
      schema: { type: 'object', properties: { Rating: { type: 'integer' } }, required: ['Rating'] },
      strict: true,
    };
    expect(await accepts(grammars, begun(rating, '{"Rating": '), '5}')).toBe(true);
    // Spaced as the grammar alone would not.
    expect(await accepts(grammars, begun(rating, '{ "Rating": '), '5}')).toBe(true);
    expect(await accepts(grammars, begun(rating, '{\n  "Rating"'), ': 5\n}')).toBe(true);
    for (const [form, prefix] of [
      [regex, 'Invalid'],
      [rating, '{"other'],
    ] as const) {
      const refused = grammars.constrain(begun(form, prefix), 'response_format');
      await expect(refused).rejects.toMatchObject({
        code: 'request-invalid',
        param: 'response_format.prefix',
      });
    }
    expect(await accepts(grammars, rating, '{ "Rating": 5}')).toBe(false);
    const score: GrammarSpec = {
      kind: 'json-schema',
      schema: {
        type: 'object',
        properties: { Rating: { type: 'number', maximum: 5 } },
        required: ['Rating'],
      },
      strict: true,
    };
    expect(await accepts(grammars, begun(score, '{ "Rating": '), '5.00}')).toBe(true);
    expect(await accepts(grammars, begun(score, '{ "Rating": '), '5.39}')).toBe(false);
  });

  it('never allows a control token, even where any text is', async () => {
    const constraint = await createGrammars().constrain(
      { kind: 'regex', regex: '(.|\\n)*' },
      'response_format',
    );
    for (const id of tokenizer.specialIds) expect(await allows(constraint, id)).toBe(id === EOS);
    expect(await allows(constraint, tokenizer.tokenToId('<think>') as number)).toBe(true);
    constraint.dispose();
    constraint.dispose();
  });

  it.each<[string, GrammarSpec, RegExp]>([
    [
      'an unknown type',
      { kind: 'json-schema', schema: { type: 'objekt' }, strict: true },
      /Unsupported type/,
    ],
    [
      'bounds of no number',
      {
        kind: 'json-schema',
        schema: { type: 'array', items: { type: 'number', minimum: 5, exclusiveMaximum: 5 } },
        strict: true,
      },
      /no number is allowed by \{"type":"number","minimum":5,"exclusiveMaximum":5\}/,
    ],
    [
      'a bound that is no number',
      { kind: 'json-schema', schema: { type: 'number', minimum: 5, exclusiveMinimum: true }, strict: true },
      /exclusiveMinimum must be a number/,
    ],
    ['an undefined rule', { kind: 'ebnf', grammar: 'root ::= foo' }, /Rule "foo" is not defined/],
    ['a lookahead', { kind: 'regex', regex: '(?=a)b' }, /Lookahead is not supported/],
    ['an unknown tag', { kind: 'structural-tag', tag: '{"format": {"type": "no"}}' }, /valid structural tag/],
    [
      'an endless one',
      { kind: 'ebnf', grammar: `root ::= "${'x'.repeat(200_001)}"` },
      /has 2000\d\d characters/,
    ],
  ])('says what is wrong with %s', async (_, spec, message) => {
    await expect(createGrammars().constrain(spec, 'response_format')).rejects.toMatchObject({
      code: 'request-invalid',
      param: 'response_format',
      message: expect.stringMatching(message) as string,
    });
  });

  it('still works after more faults than the library itself survives, also for answers that run', async () => {
    const grammars = createGrammars();
    const running = await grammars.constrain({ kind: 'regex', regex: 'ab' }, 'x');
    for (let index = 0; index < 24; index++) {
      const schema = { type: 'object', properties: { [`x${index}`]: { type: 'objekt' } } };
      await expect(grammars.constrain({ kind: 'json-schema', schema, strict: true }, 'x')).rejects.toThrow(
        'Unsupported type "objekt"',
      );
    }
    expect(await accepts(grammars, OBJECT, '{"a": 1}')).toBe(true);
    for (const id of tokenizer.encode('ab')) {
      expect(await allows(running, id)).toBe(true);
      running.accept(id);
    }
    expect(await allows(running, EOS)).toBe(true);
  }, 30_000);

  it('refuses a token that it did not allow', async () => {
    const constraint = await createGrammars().constrain({ kind: 'regex', regex: 'a' }, 'x');
    expect(() => constraint.accept(tokenizer.encode('b')[0])).toThrow(/does not allow/);
  });

  it('keeps what it compiled, and loads nothing before it is needed', async () => {
    let loads = 0;
    const grammars = new AnswerGrammars(
      () => (loads++, loadXGrammarInNode()),
      () => toVocabulary(tokenizer, [EOS]),
    );
    expect(loads).toBe(0);
    for (let index = 0; index < 40; index++) {
      expect(await accepts(grammars, { kind: 'regex', regex: `a{${(index % 20) + 1}}` }, 'a')).toBe(
        index % 20 === 0,
      );
    }
    expect(loads).toBe(1);
  });
});
