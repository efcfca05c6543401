/** More conversations than an engine has slots by default; older ones are hardly in the cache any more. */
const MOST_PROMPTS = 16;

/** The cache's keys of the latest prompts, by the completion that they were for. */
export class RecentPrompts {
  /** Oldest first. */
  readonly #keys = new Map<string, readonly number[]>();

  add(completionId: string, keys: readonly number[]): void {
    this.#keys.set(completionId, keys);
    const [oldest] = this.#keys.keys();
    if (this.#keys.size > MOST_PROMPTS && oldest !== undefined) this.#keys.delete(oldest);
  }

  /** Undefined for one that is unknown, or was forgotten. */
  get(completionId: string | undefined): readonly number[] | undefined {
    return completionId === undefined ? undefined : this.#keys.get(completionId);
  }
}
