import type { Prompt } from './chat-prompt.ts';

/** Hexadecimal digits of a hash that a key keeps: all that a number holds. */
const HASH_DIGITS = 13;

/**
 * One key for each token of a prompt, by which the KV cache recognises it. Tokens of text are their ids; those of an
 * image come from its content, because two images have the same token ids. The same in every process.
 */
export function toCacheKeys({ tokenIds, images }: Pick<Prompt, 'tokenIds' | 'images'>): number[] {
  const keys = [...tokenIds];
  for (const { image, start } of images) {
    keys.fill(imageKey(image.contentHash), start, start + image.tokenCount);
  }
  return keys;
}

/** Negative, so that no key equals a token id. */
function imageKey(contentHash: string): number {
  return -1 - parseInt(contentHash.slice(0, HASH_DIGITS), 16);
}
