import { describe, expect, it } from 'vitest';
import type { PreparedImage } from '../image/prepare-image.ts';
import type { Prompt } from './chat-prompt.ts';
import { PrefixCache } from './prefix-cache.ts';

const IMAGE = 9;

/** A prompt of ids; `images` are content hashes of its runs of image tokens, `tokenCount` tokens each. */
function createPrompt(tokenIds: readonly number[], images: readonly string[] = [], tokenCount = 3): Prompt {
  let from = 0;
  const placed = images.map((contentHash) => {
    const start = tokenIds.indexOf(IMAGE, from);
    from = start + tokenCount;
    return { start, image: { contentHash, tokenCount } as PreparedImage };
  });
  return { tokenIds, images: placed, positions: new Uint32Array(), ropeDelta: 0 };
}

describe('PrefixCache', () => {
  it('holds nothing at first', () => {
    expect(new PrefixCache().match(createPrompt([1, 2, 3]))).toBe(0);
  });

  it('matches the longest common beginning of prompt and answer', () => {
    const cache = new PrefixCache();
    cache.store(createPrompt([1, 2, 3]), 3, [4, 5]);
    expect(cache.match(createPrompt([1, 2, 3, 4, 5, 6, 7]))).toBe(5);
    expect(cache.match(createPrompt([1, 2, 3, 4, 8]))).toBe(4);
    expect(cache.match(createPrompt([1, 7, 3, 4, 5]))).toBe(1);
    expect(cache.match(createPrompt([7]))).toBe(0);
  });

  it('leaves at least one token to compute, so that there are logits', () => {
    const cache = new PrefixCache();
    cache.store(createPrompt([1, 2, 3]), 3, [4]);
    expect(cache.match(createPrompt([1, 2, 3]))).toBe(2);
    expect(cache.match(createPrompt([1]))).toBe(0);
  });

  it('tells images by their content, although their ids are equal', () => {
    const cache = new PrefixCache();
    const ids = [1, IMAGE, IMAGE, IMAGE, 2, 3];
    cache.store(createPrompt(ids, ['a']), 6);
    expect(cache.match(createPrompt([...ids, 4], ['a']))).toBe(6);
    expect(cache.match(createPrompt([...ids, 4], ['b']))).toBe(1);
    cache.store(createPrompt(ids, ['b']), 6);
    expect(cache.match(createPrompt([...ids, 4], ['a']))).toBe(1);
    expect(cache.match(createPrompt([...ids, 4], ['b']))).toBe(6);
  });

  it('never takes an image for text', () => {
    const cache = new PrefixCache();
    cache.store(createPrompt([1, IMAGE, IMAGE, IMAGE, 2], ['a']), 5);
    expect(cache.match(createPrompt([1, IMAGE, IMAGE, IMAGE, 2, 3]))).toBe(1);
  });

  it('forgets what was overwritten', () => {
    const cache = new PrefixCache();
    cache.store(createPrompt([1, 2, 3, 4]), 4);
    cache.truncate(2);
    expect(cache.match(createPrompt([1, 2, 3, 4]))).toBe(2);
    cache.truncate(10);
    expect(cache.match(createPrompt([1, 2, 3, 4]))).toBe(2);
  });

  it('holds only the part of a prompt that was computed', () => {
    const cache = new PrefixCache();
    cache.store(createPrompt([1, 2, 3, 4]), 2);
    expect(cache.match(createPrompt([1, 2, 3, 4]))).toBe(2);
  });
});
