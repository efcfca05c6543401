import { randomInt, timingSafeEqual } from 'node:crypto';
import { Refusal, retryAfter } from './refusal.ts';

/** Wrong codes before the code changes and nobody may try for a while. */
const MOST_WRONG_CODES = 5;
const FIRST_LOCK_MS = 30_000;
const LONGEST_LOCK_MS = 3_600_000;

/** Told about every new code, so that it can be shown. */
export type OnNewCode = (code: string) => void;

/**
 * The six digits that the helper shows and a user types. A code links once. After five wrong ones it is replaced
 * and pairing is locked: 30 s, then twice as long each time, up to an hour; a success starts that count again. So
 * somebody who guesses gets some 120 tries a day at a million codes.
 */
export class PairingCode {
  readonly #onNewCode: OnNewCode;
  readonly #now: () => number;
  #code = createCode();
  #wrongCount = 0;
  #lockCount = 0;
  #lockedUntil = 0;

  constructor(onNewCode: OnNewCode, now: () => number = Date.now) {
    this.#onNewCode = onNewCode;
    this.#now = now;
  }

  get current(): string {
    return this.#code;
  }

  /**
   * Checks a code without using it up; a wrong one counts.
   *
   * @throws Refusal 403 for a wrong code, 429 while pairing is locked, also for the right one.
   */
  check(code: string): void {
    const leftMs = this.#lockedUntil - this.#now();
    if (leftMs > 0) {
      throw new Refusal(
        429,
        'pairing-locked',
        `Too many wrong codes. Pairing opens again in ${Math.ceil(leftMs / 1000)} s, with a new code.`,
        retryAfter(leftMs),
      );
    }
    if (equals(code, this.#code)) return;
    this.#wrongCount++;
    if (this.#wrongCount >= MOST_WRONG_CODES) this.#lock();
    throw new Refusal(403, 'wrong-code', 'That is not the code that the helper shows.');
  }

  /** Uses the code up. @throws as `check`. */
  redeem(code: string): void {
    this.check(code);
    this.#lockCount = 0;
    this.#replace();
  }

  #lock(): void {
    this.#lockedUntil = this.#now() + Math.min(FIRST_LOCK_MS * 2 ** this.#lockCount, LONGEST_LOCK_MS);
    this.#lockCount++;
    this.#replace();
  }

  #replace(): void {
    this.#wrongCount = 0;
    this.#code = createCode();
    this.#onNewCode(this.#code);
  }
}

function createCode(): string {
  return String(randomInt(1_000_000)).padStart(6, '0');
}

function equals(given: string, code: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(code)];
  return a.length === b.length && timingSafeEqual(a, b);
}
