import { abortable } from '../base/abortable.ts';

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
      await (signal ? abortable(previous, signal) : previous);
    } catch (error) {
      // Our place is passed on once those before us are done.
      void previous.then(leave);
      throw error;
    }
    return leave;
  }
}
