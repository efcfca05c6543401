import type { AutoglmError } from '../base/errors.ts';
import { backOffDelayMs, delay, type RetryPolicy } from './retry-policy.ts';

/** A failure that may pass: kept apart from the error that is reported once patience has run out. */
export class TransientFault extends Error {
  override readonly name: string = 'TransientFault';
  /** What to throw when it is not tried again. */
  readonly final: AutoglmError;
  /** Wait that the server asked for. */
  readonly retryAfterMs: number | undefined;

  constructor(final: AutoglmError, retryAfterMs?: number) {
    super(final.message);
    this.final = final;
    this.retryAfterMs = retryAfterMs;
  }
}

/** The server sent nothing for too long. */
export class StalledFault extends TransientFault {}

/** Counts the failures in a row of one read and waits between them. */
export class RetryBudget {
  readonly #policy: RetryPolicy;
  readonly #signal: AbortSignal | undefined;
  #failureCount = 0;

  constructor(policy: RetryPolicy, signal: AbortSignal | undefined) {
    this.#policy = policy;
    this.#signal = signal;
  }

  /** Bytes arrived: earlier failures no longer count. */
  reset(): void {
    this.#failureCount = 0;
  }

  /**
   * Waits before the next attempt.
   *
   * @throws the fault's final error when there is no next attempt; anything that is not transient unchanged.
   */
  async spend(thrown: unknown): Promise<void> {
    this.#signal?.throwIfAborted();
    if (!(thrown instanceof TransientFault)) throw thrown;
    this.#failureCount += 1;
    const { retryAfterMs, final } = thrown;
    if (this.#failureCount >= this.#policy.maxFailures) throw final;
    if ((retryAfterMs ?? 0) > this.#policy.maxRetryAfterMs) throw final;
    const backOffMs = backOffDelayMs(this.#policy, this.#failureCount, Math.random);
    // Some jitter on top of what the server asked for, so that clients do not return in one wave.
    await delay(retryAfterMs === undefined ? backOffMs : retryAfterMs + backOffMs, this.#signal);
  }
}
