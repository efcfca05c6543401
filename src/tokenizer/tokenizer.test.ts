/** The tokenizer class on the embedded model's files: encoding, decoding, files that are no tokenizer. */
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { isAutoglmError } from '../base/errors.ts';
import { Tokenizer } from './tokenizer.ts';
import type { TokenizerFiles } from './tokenizer-files.ts';

const FOLDER = ['public/models/autoglm-tiny-q4f16_1', '../shared/models/autoglm-tiny'].find((folder) =>
  existsSync(`${folder}/tokenizer.json`),
);
const read = (name: string): string => readFileSync(`${FOLDER}/${name}`, 'utf8');
const tokenizerJson = read('tokenizer.json');
const tokenizerConfigJson = read('tokenizer_config.json');
const parsed = JSON.parse(tokenizerJson) as {
  model: { vocab: Record<string, number> };
  added_tokens: object[];
};
const tokenizer = Tokenizer.create({ tokenizerJson, tokenizerConfigJson });

describe('Tokenizer', () => {
  it.each([
    '',
    'Open Maps',
    '打开设置',
    '👩‍👧 é\u0301\n\n  x',
    'a<|user|>b<think>',
    '\ud800',
    '\ufeffx',
    '0123456789',
  ])('returns %j through encode and decode', (text) => {
    expect(tokenizer.decode(tokenizer.encode(text))).toBe(text.replace('\ud800', '\ufffd'));
  });

  it('encodes as transformers does', () => {
    expect(tokenizer.encode('<think>This is not about the phone.</think><answer>')).toEqual([
      2036, 603, 327, 485, 445, 269, 285, 13, 2037, 2038,
    ]);
  });

  it('leaves special tokens as text on request, other added tokens not', () => {
    const ids = tokenizer.encode('<|user|><think>', { parseSpecialTokens: false });
    expect(ids.filter((id) => tokenizer.specialIds.has(id))).toEqual([]);
    expect(ids.at(-1)).toBe(2036);
    expect(tokenizer.decode(ids)).toBe('<|user|><think>');
    expect(tokenizer.encode('<|user|><think>')).toEqual([2027, 2036]);
  });

  it('gives the bytes of every token, together all bytes', () => {
    const single = new Set<number>();
    for (let id = 0; id < tokenizer.vocabSize; id++) {
      const bytes = tokenizer.tokenBytes(id);
      expect(bytes.length).toBeGreaterThan(0);
      if (bytes.length === 1) single.add(bytes[0]!);
    }
    expect(single.size).toBe(256);
    expect(tokenizer.tokenBytes(2027)).toEqual(new TextEncoder().encode('<|user|>'));
    expect(tokenizer.tokenBytes(99_999)).toEqual(new Uint8Array());
  });

  it('translates ids and tokens', () => {
    expect(tokenizer.vocabSize).toBe(2040);
    expect(tokenizer.idToToken(2034)).toBe('<|image|>');
    expect(tokenizer.tokenToId('<|image|>')).toBe(2034);
    expect(tokenizer.tokenToId('<|nothing|>')).toBeUndefined();
    expect(tokenizer.specialIds.size).toBe(16);
  });

  it('merges added tokens that only tokenizer_config.json lists', () => {
    const { added_tokens: _, ...rest } = parsed;
    const merged = Tokenizer.create({ tokenizerJson: rest, tokenizerConfigJson });
    expect(merged.encode('a<|image|></answer>')).toEqual([...tokenizer.encode('a'), 2034, 2039]);
  });

  it('loads without tokenizer_config.json', () => {
    expect(Tokenizer.create({ tokenizerJson }).encode('a<|image|>')).toEqual(tokenizer.encode('a<|image|>'));
  });

  it('swallows white space where a special token asks for it', () => {
    const added = [{ id: 2040, content: '<m>', special: true, lstrip: true, rstrip: true }];
    const eager = Tokenizer.create({ tokenizerJson: { ...parsed, added_tokens: added } });
    expect(eager.encode('a <m> \n<m> b')).toEqual([...eager.encode('a'), 2040, 2040, ...eager.encode('b')]);
  });

  it('adds what the post-processor adds only when asked', () => {
    const post_processor = {
      type: 'TemplateProcessing',
      single: [{ SpecialToken: { id: '[gMASK]', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
      pair: [],
      special_tokens: {},
    };
    const adding = Tokenizer.create({ tokenizerJson: { ...parsed, post_processor }, tokenizerConfigJson });
    expect(adding.encode('a', { addSpecialTokens: true })).toEqual([2022, ...tokenizer.encode('a')]);
    expect(adding.encode('a')).toEqual(tokenizer.encode('a'));
  });

  const { Ġ: _space, ...vocabWithoutSpace } = parsed.model.vocab;
  const badFiles: [string, TokenizerFiles, string, RegExp][] = [
    ['no tokenizer.json', { tokenizerJson: undefined }, 'tokenizer-missing', /no tokenizer\.json/],
    ['broken JSON', { tokenizerJson: tokenizerJson.slice(0, 999) }, 'tokenizer-invalid', /is not JSON/],
    ['a list', { tokenizerJson: '[]' }, 'tokenizer-invalid', /not a JSON object/],
    [
      'a config that is no JSON',
      { tokenizerJson, tokenizerConfigJson: '<' },
      'tokenizer-invalid',
      /config\.json is not/,
    ],
    [
      'a Unigram model',
      { tokenizerJson: { model: { type: 'Unigram' } } },
      'tokenizer-invalid',
      /model Unigram/,
    ],
    [
      'no vocabulary',
      { tokenizerJson: { ...parsed, model: { type: 'BPE', merges: [] } } },
      'tokenizer-invalid',
      /no usable model\.vocab/,
    ],
    [
      'a byte without a token',
      { tokenizerJson: { ...parsed, model: { ...parsed.model, vocab: vocabWithoutSpace } } },
      'tokenizer-invalid',
      /no token for byte 32/,
    ],
    [
      'an id with two contents',
      { tokenizerJson, tokenizerConfigJson: { added_tokens_decoder: { 2034: { content: '<|img|>' } } } },
      'tokenizer-invalid',
      /token 2034 has two contents/,
    ],
    [
      'a content with two ids',
      { tokenizerJson, tokenizerConfigJson: { added_tokens_decoder: { 3000: { content: '<|image|>' } } } },
      'tokenizer-invalid',
      /ids 2034 and 3000/,
    ],
    [
      'an added token without content',
      { tokenizerJson, tokenizerConfigJson: { added_tokens_decoder: { 3000: {} } } },
      'tokenizer-invalid',
      /needs a whole id and a content/,
    ],
    [
      'a template with a syntax error',
      { tokenizerJson, chatTemplate: '{% if %}' },
      'template-invalid',
      /does not parse/,
    ],
  ];
  it.each(badFiles)('refuses %s', (_name, files, code, message) => {
    const error = catchError(() => Tokenizer.create(files));
    expect(isAutoglmError(error) && error.code).toBe(code);
    expect(String(error)).toMatch(message);
  });

  it('names the fault when there is no chat template', () => {
    const bare = Tokenizer.create({ tokenizerJson });
    expect(catchError(() => bare.encodeChat([{ role: 'user', content: 'a' }]))).toMatchObject({
      code: 'template-invalid',
    });
  });

  it("takes the default of tokenizer_config.json's templates, unless chat_template.jinja is given", () => {
    const config = {
      chat_template: [
        { name: 'rag', template: 'r' },
        { name: 'default', template: 'd' },
      ],
    };
    const render = (files: TokenizerFiles) => Tokenizer.create(files).chatTemplate?.render([]);
    expect(render({ tokenizerJson, tokenizerConfigJson: config })).toBe('d');
    expect(render({ tokenizerJson, tokenizerConfigJson: { chat_template: 's' } })).toBe('s');
    expect(render({ tokenizerJson, tokenizerConfigJson: config, chatTemplate: 'file' })).toBe('file');
  });
});

function catchError(action: () => unknown): unknown {
  try {
    return action();
  } catch (error) {
    return error;
  }
}
