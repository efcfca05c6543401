import { ShardBroadcast } from './shard-broadcast.ts';

/** What a tab does while it holds a shard's lock. */
export type LockedWork<T> = (broadcast: ShardBroadcast) => Promise<T>;

/** How to wait for a shard's lock. */
export interface ShardLockOptions {
  readonly signal?: AbortSignal | undefined;
  /** Bytes of the shard that the tab that holds the lock has by now; while waiting only. */
  readonly onOthersBytes?: ((loadedBytes: number) => void) | undefined;
}

/** Tails of the queues within this realm, for platforms without Web Locks. */
const localQueues = new Map<string, Promise<unknown>>();

/**
 * Runs `work` while no other tab, worker or load works on the same shard. The browser frees the lock of a tab
 * that is closed or killed, so the next in line goes on where that one stopped.
 */
export async function withShardLock<T>(
  name: string,
  { signal, onOthersBytes }: ShardLockOptions,
  work: LockedWork<T>,
): Promise<T> {
  const broadcast = new ShardBroadcast(name, onOthersBytes);
  const start = async (): Promise<T> => {
    broadcast.stopListening();
    signal?.throwIfAborted();
    return work(broadcast);
  };
  try {
    // TypeScript's `Promise<Awaited<T>>` for an asynchronous callback is the `T` it resolves to.
    if (globalThis.navigator?.locks) {
      const options: LockOptions = signal === undefined ? {} : { signal };
      return (await navigator.locks.request(`autoglm-shard/${name}`, options, start)) as T;
    }
    return await queueLocally(name, start);
  } finally {
    broadcast.close();
  }
}

function queueLocally<T>(name: string, start: () => Promise<T>): Promise<T> {
  const before = localQueues.get(name) ?? Promise.resolve();
  const mine = before.then(start, start);
  const tail = mine.then(
    () => {},
    () => {},
  );
  localQueues.set(name, tail);
  void tail.then(() => {
    if (localQueues.get(name) === tail) localQueues.delete(name);
  });
  return mine;
}
