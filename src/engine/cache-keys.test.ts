import { describe, expect, it } from 'vitest';
import type { PreparedImage } from '../image/prepare-image.ts';
import { countCommon } from '../model/kv-slots.ts';
import { toCacheKeys } from './cache-keys.ts';

const IMAGE = 9;
const HASHES = { a: 'a'.repeat(64), b: `${'a'.repeat(12)}b${'a'.repeat(51)}` };

/** Keys of a prompt of ids; `images` name the contents of its runs of image tokens, 3 tokens each. */
function keysOf(tokenIds: readonly number[], images: readonly (keyof typeof HASHES)[] = []): number[] {
  let from = 0;
  const placed = images.map((name) => {
    const start = tokenIds.indexOf(IMAGE, from);
    from = start + 3;
    return { start, image: { contentHash: HASHES[name], tokenCount: 3 } as PreparedImage };
  });
  return toCacheKeys({ tokenIds, images: placed });
}

describe('toCacheKeys', () => {
  it('keeps the ids of text', () => {
    expect(keysOf([1, 2, 3])).toEqual([1, 2, 3]);
  });

  it('tells images by their content, although their ids are equal', () => {
    const ids = [1, IMAGE, IMAGE, IMAGE, 2];
    expect(countCommon(keysOf(ids, ['a']), keysOf(ids, ['a']))).toBe(5);
    expect(countCommon(keysOf(ids, ['a']), keysOf(ids, ['b']))).toBe(1);
    const two = [...ids, IMAGE, IMAGE, IMAGE];
    expect(countCommon(keysOf(two, ['a', 'b']), keysOf(two, ['a', 'a']))).toBe(5);
  });

  it('never takes an image for text', () => {
    const keys = keysOf([1, IMAGE, IMAGE, IMAGE, 2], ['a']);
    expect(countCommon(keys, keysOf([1, IMAGE, IMAGE, IMAGE, 2]))).toBe(1);
    expect(keys.slice(1, 4).every((key) => key < 0 && Number.isSafeInteger(key))).toBe(true);
  });
});
