/**
 * How a page joins the shared worker of its origin.
 *
 * The worker greets every page that connects. A page that may use it answers with `join`, and both then speak as in
 * `worker-messages.ts`. Each side holds a Web Lock that the other waits for: it is granted when its holder is gone,
 * closed, crashed or killed, which no event tells.
 */

/** The first message of the worker. */
export interface SharedWorkerGreeting {
  readonly type: 'greeting';
  /** False where this kind of worker gets no WebGPU adapter: the page then starts a worker of its own. */
  readonly isCapable: boolean;
  /** The lock that the worker holds. */
  readonly workerLock: string;
}

/** The page's answer. */
export interface SharedWorkerJoin {
  readonly type: 'join';
  /** The lock that the page holds. */
  readonly pageLock: string;
}
