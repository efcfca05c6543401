/**
 * The tokenizer of GLM-4.1V against its published vectors. Its files are too large for this project and are
 * read from `../shared`; without that folder these tests say so. `tokenizer.test.ts` always runs.
 */
import { existsSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { StreamDecoder } from './stream-decoder.ts';
import { Tokenizer } from './tokenizer.ts';

const FOLDER = '../shared/tokenizer/glm-4.1v';

function defineTests(): void {
  const read = (name: string): string => readFileSync(`${FOLDER}/${name}`, 'utf8');
  const tokenizer = Tokenizer.create({
    tokenizerJson: gunzipSync(readFileSync(`${FOLDER}/tokenizer.json.gz`)).toString('utf8'),
    tokenizerConfigJson: read('tokenizer_config.json'),
    chatTemplate: read('chat_template.jinja'),
  });
  const vectors = JSON.parse(read('vectors.json')) as { text: string; ids: number[] }[];

  it('has all 47 vectors', () => expect(vectors).toHaveLength(47));

  it.each(vectors)('encodes and decodes $text', ({ text, ids }) => {
    expect(tokenizer.encode(text)).toEqual(ids);
    expect(tokenizer.decode(ids)).toBe(text);
  });

  it.each([
    ['<|image|>', 151343],
    ['<|video|>', 151344],
    ['<think>', 151345],
    ['</think>', 151346],
    ['<answer>', 151347],
    ['</answer>', 151348],
    ['<|begin_of_box|>', 151349],
    ['<|sep|>', 151351],
  ])('knows %s, which only tokenizer_config.json lists, as one id', (token, id) => {
    expect(tokenizer.encode(token)).toEqual([id]);
    expect(tokenizer.encode(`a${token}b`)).toEqual([64, id, 65]);
    expect(tokenizer.tokenToId(token)).toBe(id);
  });

  it('treats <think> and <answer> as text, <|image|> and <|user|> as control tokens', () => {
    expect(tokenizer.decode([151345, 151343, 151336, 151348], { skipSpecialTokens: true })).toBe(
      '<think></answer>',
    );
    expect(tokenizer.specialIds.has(151343)).toBe(true);
    expect(tokenizer.vocabSize).toBe(151352);
  });

  it('gives nothing for the padding of the model vocabulary', () => {
    expect(tokenizer.idToToken(151551)).toBeUndefined();
    expect(tokenizer.decode([9703, 151551, 1879])).toBe('Hello world');
  });

  const conversation = [
    { role: 'system', content: 'You are a phone agent.' },
    {
      role: 'user',
      content: [
        { type: 'image_url', image_url: { url: 'data:image/png;base64,' } },
        { type: 'text', text: '打开设置' },
      ],
    },
    { role: 'assistant', content: '<think>a</think><answer>do(action="Home")</answer>' },
    { role: 'user', content: 'next' },
  ];
  const rendered =
    '[gMASK]<sop><|system|>\nYou are a phone agent.' +
    '<|user|>\n<|begin_of_image|><|image|><|end_of_image|>打开设置' +
    '<|assistant|>\n<think>a</think><answer>do(action="Home")</answer>' +
    '<|user|>\nnext<|assistant|>\n';

  it('renders a chat by the rules of the template', () => {
    const { ids, imageCount } = tokenizer.encodeChat(conversation);
    expect(tokenizer.decode(ids)).toBe(rendered);
    expect(ids).toEqual(tokenizer.encode(rendered));
    expect(imageCount).toBe(1);
    expect(ids.slice(0, 4)).toEqual([151331, 151333, 151335, 198]);
    expect(ids.filter((id) => id === 151343)).toHaveLength(1);
  });

  it('leaves the generation prompt out on request', () => {
    const { ids } = tokenizer.encodeChat(conversation, { addGenerationPrompt: false });
    expect(tokenizer.decode(ids)).toBe(rendered.slice(0, -'<|assistant|>\n'.length));
  });

  it('renders a developer message as a system message', () => {
    const [system, user] = [{ role: 'developer', content: 'Hi' }, conversation[3]];
    expect(tokenizer.decode(tokenizer.encodeChat([system, user]).ids)).toBe(
      '[gMASK]<sop><|system|>\nHi<|user|>\nnext<|assistant|>\n',
    );
  });

  it('refuses a tool result, which the template would leave out', () => {
    expect(() => tokenizer.encodeChat([conversation[3], { role: 'tool', content: '42' }])).toThrowError(
      /leaves out the text of messages\[1\] \(role tool\)/,
    );
  });

  it('streams random ids as decode gives them', () => {
    const ids = [...randomIds(tokenizer.vocabSize, 20_000), ...tokenizer.encode('我想在🦙👩‍👧é ')];
    const stream = new StreamDecoder(tokenizer);
    const texts = ids.map((id) => stream.push(id));
    expect(texts.join('') + stream.flush()).toBe(tokenizer.decode(ids));
  });
}

function randomIds(limit: number, count: number): number[] {
  let state = 7;
  return Array.from({ length: count }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  });
}

describe('GLM-4.1V tokenizer', () => {
  if (existsSync(FOLDER)) return defineTests();
  it('did not run: the folder ../shared/tokenizer/glm-4.1v is absent', () => {
    console.warn(`The GLM-4.1V tokenizer was not tested: ${FOLDER} is absent.`);
    expect(existsSync(FOLDER)).toBe(false);
  });
});
