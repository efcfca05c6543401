/** Work that lies before the device, in milliseconds of it: more than the host takes to notice a result. */
const WORK_AHEAD_MS = 40;

/** Long steps need no more than this; short ones gain nothing from more than that. */
const LEAST = 4;
const MOST = 16;

/** Share of the newest step in the average. */
const WEIGHT = 1 / 8;

/**
 * How many decode steps to submit before the first one's tokens are read. On an H100, whose steps take 2.7 ms, a host that
 * keeps 4 under way leaves the device idle for 0.2 ms a step, one that keeps 16 for 0.05. A step that turns out to follow
 * the end of an answer is computed in vain, so where steps are long there are few.
 */
export class StepDepth {
  #averageMs: number | undefined;
  #lastAt: number | undefined;

  /** Steps that may be under way. */
  get most(): number {
    if (this.#averageMs === undefined) return LEAST;
    return Math.min(MOST, Math.max(LEAST, Math.ceil(WORK_AHEAD_MS / this.#averageMs)));
  }

  /** Takes in that a step's tokens arrived, `now` in milliseconds. */
  note(now: number): void {
    if (this.#lastAt !== undefined) {
      const elapsed = now - this.#lastAt;
      this.#averageMs =
        this.#averageMs === undefined ? elapsed : this.#averageMs + (elapsed - this.#averageMs) * WEIGHT;
    }
    this.#lastAt = now;
  }

  /** Something else than steps is under way: the time until the next step is none of a step. */
  interrupt(): void {
    this.#lastAt = undefined;
  }
}
