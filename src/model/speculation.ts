/** When to guess tokens: never, wherever there is a precedent, or where it has proved faster. */
export type SpeculationMode = 'off' | 'on' | 'auto';

/** Weight of a new measurement in a running mean. */
const WEIGHT = 0.2;
/** Guessed steps before `auto` judges; the first ones of a device are slow. */
const TRIALS = 4;
/** Chances that pass, while guessing does not pay, before it is tried again. */
const RETRY_AFTER = 64;
/** By how much guessing must be faster. */
const MARGIN = 1.05;

/** Judges from measured times whether a step with guesses gives more tokens a second than plain steps. */
export class Speculation {
  readonly mode: SpeculationMode;
  #stepMs = 0;
  #guessMs = 0;
  /** Tokens of a step with guesses, the one that it gives in any case included. */
  #tokens = 2;
  #trials = 0;
  #passed = 0;

  constructor(mode: SpeculationMode) {
    this.mode = mode;
  }

  /** Asked once for each chance to guess. */
  shouldGuess(): boolean {
    if (this.mode !== 'auto') return this.mode === 'on';
    if (this.#trials < TRIALS || this.#isFaster) return true;
    if (++this.#passed < RETRY_AFTER) return false;
    this.#passed = 0;
    return true;
  }

  /** A plain step took so long, from the one before it to its own token. */
  noteStep(milliseconds: number): void {
    this.#stepMs = mix(this.#stepMs, milliseconds);
  }

  /** A step with guesses took so long, from its submission to its tokens, and gave so many. */
  noteGuess(milliseconds: number, tokenCount: number): void {
    this.#trials++;
    this.#guessMs = mix(this.#guessMs, milliseconds);
    this.#tokens = mix(this.#tokens, tokenCount);
  }

  get #isFaster(): boolean {
    return this.#stepMs > 0 && this.#tokens * this.#stepMs > this.#guessMs * MARGIN;
  }
}

function mix(mean: number, value: number): number {
  return mean === 0 ? value : mean + (value - mean) * WEIGHT;
}
