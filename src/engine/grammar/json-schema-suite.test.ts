/** Schemas of the official JSON-Schema-Test-Suite whose keywords the grammar library enforces, with random answers. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv2020, type AnySchema } from 'ajv/dist/2020.js';
import { expect, it } from 'vitest';
import { Tokenizer } from '../../tokenizer/tokenizer.ts';
import type { JsonSchema } from '../openai.ts';
import { EMBEDDED_MODEL } from '../embedded-model.test-support.ts';
import { AnswerGrammars } from './grammar-compiler.ts';
import suite from './json-schema-suite.json' with { type: 'json' };
import { loadXGrammarInNode } from './load-xgrammar-node.ts';
import { toVocabulary } from './vocabulary.ts';

const tokenizer = Tokenizer.create({
  tokenizerJson: readFileSync(join(EMBEDDED_MODEL, 'tokenizer.json'), 'utf8'),
});
const EOS = tokenizer.tokenToId('<|endoftext|>') as number;
const CLOSING: ReadonlySet<number> = new Set(
  Array.from({ length: tokenizer.vocabSize }, (_, id) => id).filter((id) =>
    /^["\]}]/.test(tokenizer.decode([id])),
  ),
);
const MOST_TOKENS = 150;

/** Any allowed token is as likely as any other: hotter than every temperature. Closing ones come more often. */
async function writeAnswer(grammars: AnswerGrammars, schema: JsonSchema, draw: (limit: number) => number) {
  const constraint = await grammars.constrain({ kind: 'json-schema', schema, strict: true }, 'schema');
  const ids: number[] = [];
  try {
    for (let step = 0; step < MOST_TOKENS; step++) {
      const mask = (await constraint.nextMask()) as Uint32Array;
      const allowed = Array.from({ length: tokenizer.vocabSize }, (_, id) => id).filter(
        (id) => ((mask[id >> 5] >>> (id & 31)) & 1) === 1,
      );
      if (allowed.includes(EOS) && (allowed.length === 1 || draw(2) === 0)) return tokenizer.decode(ids);
      const others = allowed.filter((id) => id !== EOS);
      const closing = others.filter((id) => CLOSING.has(id));
      const from = closing.length > 0 && draw(3) > 0 ? closing : others;
      const id = from[draw(from.length)] as number;
      constraint.accept(id);
      ids.push(id);
    }
    return undefined;
  } finally {
    constraint.dispose();
  }
}

it('writes valid JSON for every schema, whatever tokens are chosen', { timeout: 120_000 }, async () => {
  const grammars = new AnswerGrammars(loadXGrammarInNode, () => toVocabulary(tokenizer, [EOS]));
  let state = 20_261_127;
  const draw = (limit: number): number => (state = (state * 48271) % 2147483647) % limit;
  let whole = 0;
  for (const [name, schema] of suite.schemas as [string, JsonSchema][]) {
    const validate = new Ajv2020({ strict: false }).compile(schema as AnySchema);
    const text = await writeAnswer(grammars, schema, draw);
    if (text === undefined) continue;
    whole++;
    expect([name, text, validate(JSON.parse(text))]).toEqual([name, text, true]);
  }
  // Random answers may be long; nearly all of them end.
  expect(whole).toBeGreaterThan(suite.schemas.length * 0.9);
});
