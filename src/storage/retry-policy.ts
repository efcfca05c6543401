/** When and how often a failed request is tried again. */
export interface RetryPolicy {
  /** Failures in a row, without bytes in between, that end the read. */
  readonly maxFailures: number;
  /** Upper bound of the first wait; doubles with each further failure. */
  readonly baseDelayMs: number;
  /** Upper bound of every wait that the server did not ask for. */
  readonly maxDelayMs: number;
  /** A server that asks for a longer wait than this is not waited for. */
  readonly maxRetryAfterMs: number;
}

/** About half a minute of waiting in all before a read is given up. */
export const DEFAULT_RETRY_POLICY: RetryPolicy = {
  maxFailures: 7,
  baseDelayMs: 500,
  maxDelayMs: 15_000,
  maxRetryAfterMs: 120_000,
};

/**
 * Exponential back-off with full jitter: a uniform draw from zero to the bound, so that many tabs that lost
 * the same server do not come back in step.
 */
export function backOffDelayMs(policy: RetryPolicy, failureCount: number, random: () => number): number {
  const bound = Math.min(policy.maxDelayMs, policy.baseDelayMs * 2 ** (failureCount - 1));
  return random() * bound;
}

/** Milliseconds that a `Retry-After` header (seconds or a date) asks for; `undefined` when it says nothing. */
export function parseRetryAfterMs(header: string | null, now: number): number | undefined {
  if (header === null || header.trim() === '') return undefined;
  const seconds = Number(header);
  if (Number.isFinite(seconds)) return Math.max(0, seconds * 1000);
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}

/** Waits; rejects with the signal's reason as soon as it aborts. */
export function delay(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const onAbort = (): void => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    }, milliseconds);
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}
