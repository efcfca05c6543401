/** Streaming text: whole characters only, and the same text as decoding at once. */
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { StreamDecoder } from './stream-decoder.ts';
import { Tokenizer } from './tokenizer.ts';

const FOLDER = ['public/models/autoglm-tiny-q4f16_1', '../shared/models/autoglm-tiny'].find((folder) =>
  existsSync(`${folder}/tokenizer.json`),
);
const tokenizer = Tokenizer.create({ tokenizerJson: readFileSync(`${FOLDER}/tokenizer.json`, 'utf8') });

function stream(ids: readonly number[], skipSpecialTokens = false): string[] {
  const decoder = new StreamDecoder(tokenizer, { skipSpecialTokens });
  return [...ids.map((id) => decoder.push(id)), decoder.flush()];
}

/** Numbers of a linear congruential generator, 0 <= n < limit. */
function createRandom(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

describe('StreamDecoder', () => {
  it.each(['🚀', '👩‍👧', '龘靐', 'é\u0301', '我想在apple工作 🦙.cpp'])(
    'never emits a part of a character of %s',
    (text) => {
      const ids = tokenizer.encode(text);
      const texts = stream(ids);
      expect(texts.join('')).toBe(text);
      for (const piece of texts) {
        expect(piece).not.toContain('\ufffd');
        expect(piece).not.toMatch(/\p{Surrogate}/u);
      }
    },
  );

  it('holds a four-byte character back until its last byte', () => {
    const ids = ['ð', 'Ł', 'ļ', 'Ģ'].map((token) => tokenizer.tokenToId(token)!);
    expect(stream(ids)).toEqual(['', '', '', '🚀', '']);
  });

  it('emits U+FFFD for bytes that are no UTF-8, at once or in the flush', () => {
    const [lead, letter] = [tokenizer.tokenToId('ð')!, tokenizer.tokenToId('a')!];
    expect(stream([lead, letter])).toEqual(['', '\ufffda', '']);
    expect(stream([letter, lead])).toEqual(['a', '', '\ufffd']);
  });

  it('gives the text of decode for random ids', () => {
    const random = createRandom(3);
    for (let round = 0; round < 400; round++) {
      // Half of the ids are single bytes, which make and break characters often.
      const ids = Array.from({ length: random(40) }, () =>
        random(2) === 0 ? random(256) : random(tokenizer.vocabSize),
      );
      for (const skipSpecialTokens of [false, true]) {
        expect(stream(ids, skipSpecialTokens).join('')).toBe(tokenizer.decode(ids, { skipSpecialTokens }));
      }
    }
  });

  it('skips special tokens without breaking the character around them', () => {
    const ids = ['ð', 'Ł', '<|user|>', 'ļ', 'Ģ', '<think>'].map((token) => tokenizer.tokenToId(token)!);
    expect(stream(ids, true).join('')).toBe('🚀<think>');
  });

  it('takes new ids after a flush', () => {
    const decoder = new StreamDecoder(tokenizer);
    decoder.push(tokenizer.tokenToId('ð')!);
    expect(decoder.flush()).toBe('\ufffd');
    expect(decoder.push(tokenizer.tokenToId('a')!)).toBe('a');
  });
});
