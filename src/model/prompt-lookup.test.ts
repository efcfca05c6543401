import { describe, expect, it } from 'vitest';
import { PromptLookup } from './prompt-lookup.ts';

describe('PromptLookup', () => {
  it.each([
    ['what followed the same three tokens', [1, 2, 3, 4, 5, 6, 9, 1, 2, 3], [4, 5, 6]],
    ['the latest of several precedents', [1, 2, 3, 4, 0, 1, 2, 3, 7, 8, 9, 1, 2, 3], [7, 8, 9]],
    ['on through a text that repeats with a short period', [1, 2, 1, 2, 1], [2, 1, 2]],
    ['one token again and again', [5, 5, 5, 5], [5, 5, 5]],
  ])('guesses %s', (_, ids, expected) => {
    expect(new PromptLookup(ids).guess(3)).toEqual(expected);
  });

  it.each([[[]], [[1, 2]], [[1, 2, 3]], [[1, 2, 3, 4, 5]], [[1, 2, 9, 1, 2]]])(
    'guesses nothing after %j',
    (ids) => {
      expect(new PromptLookup(ids).guess(3)).toBeUndefined();
    },
  );

  it('learns from the tokens that come', () => {
    const lookup = new PromptLookup([1, 2, 3]);
    for (const id of [4, 1, 2]) lookup.push(id);
    expect(lookup.guess(2)).toBeUndefined();
    lookup.push(3);
    expect(lookup.guess(2)).toEqual([4, 1]);
  });

  it('guesses what a plain search finds, for random texts of few tokens', () => {
    let state = 1;
    const next = (): number => (state = (state * 48271) % 2147483647) % 3;
    for (let round = 0; round < 200; round++) {
      const ids = Array.from({ length: 3 + (round % 30) }, next);
      const last = ids.slice(-3).join();
      let end = -1;
      for (let at = 3; at < ids.length; at++) if (ids.slice(at - 3, at).join() === last) end = at;
      const expected = end < 0 ? undefined : ids[end];
      expect(new PromptLookup(ids).guess(1)?.[0]).toBe(expected);
    }
  });
});
