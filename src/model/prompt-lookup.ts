/** Tokens that must agree before what followed them is guessed to follow again. */
const MATCHED = 3;
/** Three ids below it fit into one number exactly. */
const ID_LIMIT = 208_063;

/**
 * Guesses the next tokens of a text from its own past: what followed the last time that its last tokens came. Costs
 * no model; right where a text repeats itself, such as an action that quotes the prompt.
 */
export class PromptLookup {
  readonly #ids: number[] = [];
  /** Where a run of `MATCHED` tokens last ended, by the run; the run at the very end is not in it yet. */
  readonly #ends = new Map<number, number>();

  constructor(ids: Iterable<number>) {
    for (const id of ids) this.push(id);
  }

  push(id: number): void {
    if (this.#ids.length >= MATCHED) this.#ends.set(this.#lastRun(), this.#ids.length);
    this.#ids.push(id);
  }

  /** The `count` tokens that may come next; undefined without a precedent. */
  guess(count: number): readonly number[] | undefined {
    if (this.#ids.length < MATCHED) return undefined;
    const end = this.#ends.get(this.#lastRun());
    // A precedent that is nearer than its continuation is long repeats itself.
    if (end === undefined) return undefined;
    const period = this.#ids.length - end;
    return Array.from({ length: count }, (_, index) => this.#ids[end + (index % period)]);
  }

  /** The last run in one number; for larger ids two runs may have the same, and a guess is wrong. */
  #lastRun(): number {
    const end = this.#ids.length;
    return (this.#ids[end - 3] * ID_LIMIT + this.#ids[end - 2]) * ID_LIMIT + this.#ids[end - 1];
  }
}
