/** Tokens of a chunk while nothing is known of the device's speed, and the least that a long prompt is cut into. */
const FIRST_CHUNK = 1024;

/** A chunk is not stopped, and holds everything else up: it should take no longer than this. */
const LONGEST_MS = 2000;

/** Chunks of fewer tokens tell nothing of the speed of longer ones. */
const LEAST_MEASURED = 512;

/** Chunks are cut to whole multiples, which fill the products' tiles. */
const UNIT = 128;

/** Work ahead of a request is to be given up at once. */
const LONGEST_AHEAD_MS = 250;
const FIRST_CHUNK_AHEAD = 128;
const LARGEST_CHUNK_AHEAD = 256;
const UNIT_AHEAD = 32;

/** How many tokens of a prompt to compute at once: as many as fit the buffers and the time, by those before. */
export class ChunkPace {
  readonly #capacity: number;
  #tokensPerMs: number | undefined;

  /** @param capacity tokens that the buffers hold */
  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** Most tokens of the next chunk; few while others wait for their next token. */
  most({ othersWait = false } = {}): number {
    const known = othersWait ? undefined : this.#tokensPerMs;
    const wished = known === undefined ? FIRST_CHUNK : Math.floor((known * LONGEST_MS) / UNIT) * UNIT;
    return Math.min(this.#capacity, Math.max(FIRST_CHUNK, wished));
  }

  /** Most tokens of the next chunk of a prompt that nobody has asked for yet. */
  mostAhead(): number {
    const fitting = Math.floor(((this.#tokensPerMs ?? 0) * LONGEST_AHEAD_MS) / UNIT_AHEAD) * UNIT_AHEAD;
    const wished = this.#tokensPerMs === undefined ? FIRST_CHUNK_AHEAD : Math.max(UNIT_AHEAD, fitting);
    return Math.min(this.#capacity, LARGEST_CHUNK_AHEAD, wished);
  }

  /** Takes in how long a chunk took. */
  note(tokens: number, milliseconds: number): void {
    if (tokens >= LEAST_MEASURED && milliseconds > 0) this.#tokensPerMs = tokens / milliseconds;
  }
}
