import type { CDPSession, Page } from '@playwright/test';

/** Something done, the most memory that a page and its workers held meanwhile, and how often it was looked at. */
export interface WatchedRun<T> {
  readonly result: T;
  readonly peakHeapBytes: number;
  readonly samples: number;
}

/** Time between the end of a look and the next. */
const PAUSE_MS = 50;

interface HeapUsage {
  readonly usedSize: number;
  readonly embedderHeapUsedSize?: number;
  readonly backingStorageSize?: number;
}

/**
 * Looks at the memory of a page and its dedicated workers while something runs: JavaScript objects, what the
 * browser keeps for them, and array buffers, with what waits for the garbage collector. The page's own
 * `measureUserAgentSpecificMemory` collects before it counts, and answers at the browser's pleasure.
 */
export async function watchHeap<T>(page: Page, run: () => Promise<T>): Promise<WatchedRun<T>> {
  const session = await page.context().newCDPSession(page);
  const workers = await WorkerHeaps.follow(session);
  const ended = new AbortController();
  let [peakHeapBytes, samples] = [0, 0];
  const watching = (async () => {
    while (!ended.signal.aborted) {
      const [own, others] = await Promise.all([session.send('Runtime.getHeapUsage'), workers.measure()]);
      // Without its worker a page is not what is asked for.
      if (others > 0) {
        peakHeapBytes = Math.max(peakHeapBytes, toBytes(own) + others);
        samples += 1;
      }
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  })();
  try {
    const result = await run();
    ended.abort();
    await watching;
    return { result, peakHeapBytes, samples };
  } finally {
    ended.abort();
    await session.detach();
  }
}

/** The dedicated workers of a page, as its debugger sees them. */
class WorkerHeaps {
  readonly #session: CDPSession;
  /** By session: the calls of a worker that wait for an answer. */
  readonly #workers = new Map<string, Map<number, (usage: HeapUsage | undefined) => void>>();
  #callCount = 0;

  static async follow(session: CDPSession): Promise<WorkerHeaps> {
    const heaps = new WorkerHeaps(session);
    const options = { autoAttach: true, waitForDebuggerOnStart: false, flatten: false };
    await session.send('Target.setAutoAttach', options);
    return heaps;
  }

  constructor(session: CDPSession) {
    this.#session = session;
    session.on('Target.attachedToTarget', ({ sessionId, targetInfo }) => {
      if (targetInfo.type === 'worker') this.#workers.set(sessionId, new Map());
    });
    session.on('Target.receivedMessageFromTarget', ({ sessionId, message }) => {
      const { id, result } = JSON.parse(message) as { id?: number; result?: HeapUsage };
      if (id !== undefined) this.#workers.get(sessionId)?.get(id)?.(result);
    });
    session.on('Target.detachedFromTarget', ({ sessionId }) => {
      // A worker that has ended answers no more.
      for (const answer of this.#workers.get(sessionId)?.values() ?? []) answer(undefined);
      this.#workers.delete(sessionId);
    });
  }

  /** Bytes of all workers together; 0 while there is none. */
  async measure(): Promise<number> {
    const parts = await Promise.all([...this.#workers.keys()].map((sessionId) => this.#measure(sessionId)));
    return parts.reduce((sum, bytes) => sum + bytes, 0);
  }

  async #measure(sessionId: string): Promise<number> {
    const calls = this.#workers.get(sessionId);
    this.#callCount += 1;
    const id = this.#callCount;
    const message = JSON.stringify({ id, method: 'Runtime.getHeapUsage' });
    const answer = new Promise<HeapUsage | undefined>((resolve) => calls?.set(id, resolve));
    const isSent = await this.#session.send('Target.sendMessageToTarget', { sessionId, message }).then(
      () => true,
      () => false,
    );
    const usage = isSent ? await answer : undefined;
    calls?.delete(id);
    return usage === undefined ? 0 : toBytes(usage);
  }
}

/** All that the browser tells of an isolate; older versions tell less. */
function toBytes({ usedSize, embedderHeapUsedSize = 0, backingStorageSize = 0 }: HeapUsage): number {
  return usedSize + embedderHeapUsedSize + backingStorageSize;
}
