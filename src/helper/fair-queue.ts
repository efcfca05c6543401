import { Refusal, retryAfter } from './refusal.ts';

/** How much may run and wait. */
export interface FairQueueLimits {
  /** Requests that run at once: what the engine answers side by side. */
  readonly running: number;
  /** Requests that wait, of all clients. */
  readonly waiting: number;
  /** Requests of one client that run or wait. */
  readonly perClient: number;
}

interface Ticket {
  admit(): void;
}

/** When to come back to a full queue: nobody knows, so something a person would wait. */
const RETRY_MS = 2000;

/**
 * Admits requests client by client in turn: one that sends a hundred at once delays another client's only request
 * by one, not by a hundred.
 */
export class FairQueue {
  readonly #limits: FairQueueLimits;
  /** Waiting tickets by client; the first client of the map is the next to be served. */
  readonly #lines = new Map<string, Ticket[]>();
  readonly #held = new Map<string, number>();
  #running = 0;
  #waiting = 0;
  #closed: Refusal | undefined;

  constructor(limits: FairQueueLimits) {
    this.#limits = limits;
  }

  get running(): number {
    return this.#running;
  }

  get waiting(): number {
    return this.#waiting;
  }

  /**
   * Waits for the client's turn; the function that it resolves to ends it. Idempotent.
   *
   * @throws Refusal 429 when the client has too many requests, 503 when all clients together have, or what
   *   `close` was given; the signal's reason.
   */
  async enter(client: string, signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted();
    if (this.#closed) throw this.#closed;
    const held = this.#held.get(client) ?? 0;
    if (held >= this.#limits.perClient) {
      throw new Refusal(
        429,
        'client-queue-full',
        `This client already has ${held} requests here, which is the most.`,
        retryAfter(RETRY_MS),
      );
    }
    const mustWait = this.#running >= this.#limits.running || this.#waiting > 0;
    if (mustWait && this.#waiting >= this.#limits.waiting) {
      throw new Refusal(503, 'queue-full', `${this.#waiting} requests wait already.`, retryAfter(RETRY_MS));
    }
    this.#held.set(client, held + 1);
    try {
      if (mustWait) await this.#wait(client, signal);
      else this.#running++;
    } catch (error) {
      this.#release(client);
      throw error;
    }
    let hasLeft = false;
    return () => {
      if (hasLeft) return;
      hasLeft = true;
      this.#running--;
      this.#release(client);
      this.#admitNext();
    };
  }

  /** Refuses all that wait and all that come. */
  close(refusal: Refusal): void {
    this.#closed = refusal;
    for (const line of this.#lines.values()) for (const ticket of line) ticket.admit();
  }

  #wait(client: string, signal: AbortSignal): Promise<void> {
    this.#waiting++;
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        this.#waiting--;
        signal.removeEventListener('abort', onAbort);
        removeFrom(this.#lines, client, ticket);
      };
      const ticket: Ticket = {
        admit: () => {
          settle();
          if (this.#closed) return reject(this.#closed);
          this.#running++;
          resolve();
        },
      };
      const onAbort = (): void => {
        settle();
        reject(signal.reason as Error);
      };
      signal.addEventListener('abort', onAbort, { once: true });
      const line = this.#lines.get(client);
      if (line) line.push(ticket);
      else this.#lines.set(client, [ticket]);
    });
  }

  #admitNext(): void {
    if (this.#running >= this.#limits.running) return;
    const next = this.#lines.entries().next();
    if (next.done) return;
    const [client, line] = next.value;
    line[0]?.admit();
    // Whoever was served goes to the end.
    const rest = this.#lines.get(client);
    if (!rest) return;
    this.#lines.delete(client);
    this.#lines.set(client, rest);
  }

  #release(client: string): void {
    const held = (this.#held.get(client) ?? 1) - 1;
    if (held > 0) this.#held.set(client, held);
    else this.#held.delete(client);
  }
}

function removeFrom(lines: Map<string, Ticket[]>, client: string, ticket: Ticket): void {
  const rest = (lines.get(client) ?? []).filter((other) => other !== ticket);
  if (rest.length > 0) lines.set(client, rest);
  else lines.delete(client);
}
