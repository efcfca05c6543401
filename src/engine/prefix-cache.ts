import type { Prompt } from './chat-prompt.ts';

/**
 * What a KV slot holds: one key a token. Text tokens are their ids; tokens of an image are keyed by the
 * image's content, because two images have the same token ids.
 */
export class PrefixCache {
  readonly #imageKeys = new Map<string, number>();
  #keys: number[] = [];

  /** Tokens that the slot holds. */
  get length(): number {
    return this.#keys.length;
  }

  /** Tokens of the prompt that the slot already holds; at least one is left to compute. */
  match(prompt: Prompt): number {
    const keys = this.#toKeys(prompt);
    const most = Math.min(keys.length - 1, this.#keys.length);
    let count = 0;
    while (count < most && keys[count] === this.#keys[count]) count++;
    return count;
  }

  /** Notes that the slot is about to be overwritten behind its first `count` tokens. */
  truncate(count: number): void {
    this.#keys.length = Math.min(count, this.#keys.length);
  }

  /** Notes that the slot holds the first `promptCount` tokens of the prompt and then `generatedIds`. */
  store(prompt: Prompt, promptCount: number, generatedIds: readonly number[] = []): void {
    this.#keys = [...this.#toKeys(prompt).slice(0, promptCount), ...generatedIds];
  }

  #toKeys({ tokenIds, images }: Prompt): number[] {
    const keys = [...tokenIds];
    for (const { image, start } of images) {
      keys.fill(this.#imageKey(image.contentHash), start, start + image.tokenCount);
    }
    return keys;
  }

  /** Negative, so that no key equals a token id. */
  #imageKey(contentHash: string): number {
    const known = this.#imageKeys.get(contentHash);
    if (known !== undefined) return known;
    const key = -1 - this.#imageKeys.size;
    this.#imageKeys.set(contentHash, key);
    return key;
  }
}
