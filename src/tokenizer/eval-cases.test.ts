/**
 * Prompts and answers of the embedded model's 200 public evaluation cases. They are read from `../shared`;
 * without that folder these tests say so. `tokenizer.test.ts` always runs.
 */
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { StreamDecoder } from './stream-decoder.ts';
import { expandImageTokens } from './image-tokens.ts';
import { Tokenizer } from './tokenizer.ts';

const FOLDER = '../shared/models/autoglm-tiny';
const IMAGE_TOKEN_ID = 2034;
/** `</answer>`, one of the stop tokens. */
const STOP_ID = 2039;
/** A 280x560 screen has 40 x 20 patches, merged 2 x 2. */
const TOKENS_PER_IMAGE = 200;

interface Case {
  readonly id: string;
  readonly image: string | null;
  readonly messages: unknown;
  readonly prompt_tokens: number;
  readonly reference: { readonly text: string; readonly ids: readonly number[] };
}

function defineTests(): void {
  const read = (name: string): string => readFileSync(`${FOLDER}/${name}`, 'utf8');
  const tokenizer = Tokenizer.create({
    tokenizerJson: read('tokenizer.json'),
    tokenizerConfigJson: read('tokenizer_config.json'),
    chatTemplate: read('chat_template.jinja'),
  });
  const lines = read('eval-public/cases.jsonl').trim().split('\n');
  const cases = lines.map((line) => JSON.parse(line) as Case);

  it('has 200 cases', () => expect(cases).toHaveLength(200));

  it('makes prompts of the recorded lengths', () => {
    for (const { id, image, messages, prompt_tokens } of cases) {
      const { ids, imageCount } = tokenizer.encodeChat(messages);
      expect(imageCount, id).toBe(image === null ? 0 : 1);
      const expanded = expandImageTokens(
        ids,
        IMAGE_TOKEN_ID,
        Array.from({ length: imageCount }, () => TOKENS_PER_IMAGE),
      );
      expect(expanded.length, id).toBe(prompt_tokens);
    }
  });

  it('decodes the recorded answers, at once and streamed', () => {
    for (const { id, reference } of cases) {
      expect(tokenizer.decode(reference.ids), id).toBe(reference.text);
      const stream = new StreamDecoder(tokenizer);
      const texts = reference.ids.filter((token) => token !== STOP_ID).map((token) => stream.push(token));
      expect(`${texts.join('')}${stream.flush()}</answer>`, id).toBe(reference.text);
    }
  });

  it('encodes the recorded answers to text that decodes the same', () => {
    for (const { id, reference } of cases) {
      expect(tokenizer.decode(tokenizer.encode(reference.text)), id).toBe(reference.text);
    }
  });
}

describe('evaluation cases', () => {
  if (existsSync(FOLDER)) return defineTests();
  it('did not run: the folder ../shared/models/autoglm-tiny is absent', () => {
    console.warn(`Prompts of the evaluation cases were not tested: ${FOLDER} is absent.`);
    expect(existsSync(FOLDER)).toBe(false);
  });
});
