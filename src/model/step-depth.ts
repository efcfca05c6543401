/** Work that lies before the device, in milliseconds of it: more than a host that is there takes to notice a result. */
const WORK_AHEAD_MS = 40;

/** Of the longest absence: the next one may be longer. */
const ABSENCE_SHARE = 1.25;

/** Whoever is away for longer sleeps: no work ahead bridges that, and slow steps would be many in vain afterwards. */
const LONGEST_ABSENCE_MS = 80;

/** Long steps need no more than this; short ones gain nothing from more than that. */
const LEAST = 4;
const MOST = 32;

/** Share of the newest step in the average: little, since a late result is followed by several early ones. */
const WEIGHT = 1 / 32;

/** What is left of an absence a step later: half after 350 steps, two to four of Node's collections. */
const MEMORY = 0.998;

/**
 * How many decode steps to submit before the first one's tokens are read. On an H100, whose steps take 2.7 ms, a host that
 * keeps 4 under way leaves the device idle for 0.2 ms a step, one that keeps 16 for 0.05. Node is away for 50 to 60 ms
 * whenever it collects what waiting for results leaves behind, a browser is not: so as much lies ahead as the host has been
 * away. A step that turns out to follow the end of an answer is computed in vain, so there are no more than that.
 */
export class StepDepth {
  #averageMs: number | undefined;
  #absenceMs = 0;
  #lastAt: number | undefined;

  /** Steps that may be under way. */
  get most(): number {
    if (this.#averageMs === undefined) return LEAST;
    const aheadMs = Math.max(WORK_AHEAD_MS, this.#absenceMs * ABSENCE_SHARE);
    return Math.min(MOST, Math.max(LEAST, Math.ceil(aheadMs / this.#averageMs)));
  }

  /** Takes in that a step's tokens arrived, `now` in milliseconds. */
  note(now: number): void {
    if (this.#lastAt !== undefined) {
      const elapsed = now - this.#lastAt;
      this.#averageMs =
        this.#averageMs === undefined ? elapsed : this.#averageMs + (elapsed - this.#averageMs) * WEIGHT;
      const absence = Math.min(LONGEST_ABSENCE_MS, elapsed - this.#averageMs);
      this.#absenceMs = Math.max(this.#absenceMs * MEMORY, absence);
    }
    this.#lastAt = now;
  }

  /** Something else than steps is under way: the time until the next step is none of a step. */
  interrupt(): void {
    this.#lastAt = undefined;
  }
}
