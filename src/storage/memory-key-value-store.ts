import type { KeyValueStore } from './key-value-store.ts';

/** Keeps records for the life of the process; values are cloned, as a database does. */
export function createMemoryKeyValueStore(): KeyValueStore {
  const records = new Map<string, unknown>();
  return {
    get: async <T>(key: string) => structuredClone(records.get(key)) as T | undefined,
    set: async (entries, replacedKeys = []) => {
      for (const [key, value] of structuredClone(entries)) records.set(key, value);
      for (const key of replacedKeys) records.delete(key);
    },
    delete: async (keys) => {
      for (const key of keys) records.delete(key);
    },
    keysBelow: async (prefix) =>
      [...records.keys()].filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length)),
  };
}
