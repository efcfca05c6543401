import { readFile } from 'node:fs/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { StopStrings } from '../sampling/stop-strings.ts';
import { StreamDecoder } from '../tokenizer/stream-decoder.ts';
import { Tokenizer } from '../tokenizer/tokenizer.ts';
import { CompletionStream, type CompletionRules, type CompletionStep } from './completion-stream.ts';

const FOLDER = new URL('../../public/models/autoglm-tiny-q4f16_1/', import.meta.url);
const EOS = 2039;

let tokenizer: Tokenizer;
beforeAll(async () => {
  const [tokenizerJson, tokenizerConfigJson] = await Promise.all(
    ['tokenizer.json', 'tokenizer_config.json'].map((name) => readFile(new URL(name, FOLDER), 'utf8')),
  );
  tokenizer = Tokenizer.create({ tokenizerJson: tokenizerJson!, tokenizerConfigJson: tokenizerConfigJson! });
});

function run(ids: readonly number[], rules: Partial<CompletionRules> = {}, stops: readonly string[] = []) {
  const stream = new CompletionStream({
    decoder: new StreamDecoder(tokenizer, { skipSpecialTokens: true }),
    stops: new StopStrings(stops),
    eosTokenIds: new Set([EOS]),
    maxTokens: 100,
    ...rules,
  });
  const steps: CompletionStep[] = [];
  for (const id of ids) {
    steps.push(stream.push(id));
    if (steps.at(-1)!.finishReason) break;
  }
  return {
    text: steps.map(({ text }) => text).join(''),
    finishReason: steps.at(-1)!.finishReason,
    count: steps.length,
    steps,
  };
}

describe('CompletionStream', () => {
  it('ends at an end-of-text token and does not print it', () => {
    const ids = tokenizer.encode('do(action="Home")');
    expect(run([...ids, EOS, ...ids])).toMatchObject({
      text: 'do(action="Home")',
      finishReason: 'stop',
      count: ids.length + 1,
    });
  });

  it('goes on past the end where no id ends the answer', () => {
    const ids = tokenizer.encode('one');
    const { finishReason, count } = run([...ids, EOS, ...ids], { eosTokenIds: new Set() });
    expect(finishReason).toBeUndefined();
    expect(count).toBe(2 * ids.length + 1);
  });

  it('ends at the greatest number of tokens', () => {
    const ids = tokenizer.encode('one two three four');
    const { text, finishReason, count } = run(ids, { maxTokens: 2 });
    expect({ text, finishReason, count }).toEqual({
      text: tokenizer.decode(ids.slice(0, 2)),
      finishReason: 'length',
      count: 2,
    });
  });

  it('says stop when the end comes with the last token that is allowed', () => {
    expect(run([...tokenizer.encode('a'), EOS], { maxTokens: 2 }).finishReason).toBe('stop');
  });

  it('ends before a stop string, also one that is spread over tokens', () => {
    const ids = tokenizer.encode('Open the settings, then go home.');
    expect(run(ids, {}, ['ings, th'])).toMatchObject({ text: 'Open the sett', finishReason: 'stop' });
  });

  it('lets out text that only looked like a stop string, at the end at the latest', () => {
    const ids = tokenizer.encode('Open the settings');
    expect(run([...ids, EOS], {}, ['settings!'])).toMatchObject({
      text: 'Open the settings',
      finishReason: 'stop',
    });
    expect(run(ids, { maxTokens: ids.length }, ['settings!'])).toMatchObject({
      text: 'Open the settings',
      finishReason: 'length',
    });
  });

  it('never gives a part of a character before its last byte', () => {
    const ids = tokenizer.encode('龘🙂。');
    const { steps, text } = run(ids);
    expect(text).toBe('龘🙂。');
    expect(ids.length).toBeGreaterThan(3);
    for (const step of steps) expect(step.text).not.toContain('\uFFFD');
  });

  it('marks a character that the limit cut in the middle', () => {
    const ids = tokenizer.encode('🙂');
    expect(run(ids, { maxTokens: ids.length - 1 })).toMatchObject({ text: '\uFFFD', finishReason: 'length' });
  });

  it('counts tokens without a tokenizer, and gives no text', () => {
    expect(run([1, 2, 3], { decoder: undefined, maxTokens: 3 })).toMatchObject({
      text: '',
      finishReason: 'length',
      count: 3,
    });
  });
});
