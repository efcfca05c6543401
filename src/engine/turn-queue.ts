/** Lets one task run at a time, in the order of asking; a task that gives up waiting does not hold the others. */
export class TurnQueue {
  #tail: Promise<void> = Promise.resolve();

  /** Resolves when it is the caller's turn, with the function that ends it. */
  async enter(signal?: AbortSignal): Promise<() => void> {
    const previous = this.#tail;
    let leave!: () => void;
    this.#tail = new Promise((resolve) => {
      leave = resolve;
    });
    try {
      await waitFor(previous, signal);
    } catch (error) {
      // Our place is passed on once those before us are done.
      void previous.then(leave);
      throw error;
    }
    return leave;
  }
}

async function waitFor(promise: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (!signal) return promise;
  signal.throwIfAborted();
  let onAbort!: () => void;
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason as Error);
    signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
