import type { KeyValueStore } from '../storage/key-value-store.ts';

/** What earlier loads found out about adapters. A memory that fails is as good as none: nothing depends on it. */
export interface AdapterMemory<T> {
  get(key: string): Promise<T | undefined>;
  put(key: string, record: T): Promise<void>;
}

/** Remembers in a store, where there is one that works. */
export function rememberIn<T>(store: KeyValueStore): AdapterMemory<T> {
  return {
    get: (key) => store.get<T>(key).catch(() => undefined),
    put: (key, record) => store.set([[key, record]]).catch(() => {}),
  };
}
