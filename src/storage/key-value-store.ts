import { delMany, get, keys, promisifyRequest, type UseStore } from 'idb-keyval';
import { AutoglmError } from '../base/errors.ts';
import { delay } from './retry-policy.ts';

/** A record to write. */
export type KeyValueEntry = readonly [key: string, value: unknown];

/** Records by key in one IndexedDB database. */
export interface KeyValueStore {
  get<T>(key: string): Promise<T | undefined>;
  /**
   * Writes records and deletes those that they stand in for: all of it or nothing.
   *
   * @throws DOMException `QuotaExceededError`; AutoglmError `storage-unavailable` for every other failure.
   */
  set(entries: readonly KeyValueEntry[], replacedKeys?: readonly string[]): Promise<void>;
  delete(keysToDelete: readonly string[]): Promise<void>;
  /** All keys that start with a prefix, without it. */
  keysBelow(prefix: string): Promise<string[]>;
}

const STORE_NAME = 'entries';
/** Waits between attempts: Chromium now and then refuses a Blob (`DataError`) that it takes the next time. */
const RETRY_DELAYS_MS = [100, 500, 1500];

/** Opens (on first use) a database of its own, which nothing else writes to. */
export function createKeyValueStore(databaseName: string): KeyValueStore {
  const useStore = createUseStore(databaseName);
  return {
    get: (key) => retrying(() => get(key, useStore)),
    set: (entries, replacedKeys = []) =>
      retrying(() => useStore('readwrite', (records) => replace(records, entries, replacedKeys))),
    delete: (keysToDelete) => retrying(() => delMany([...keysToDelete], useStore)),
    keysBelow: async (prefix) => {
      const all = await retrying(() => keys<string>(useStore));
      return all.filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length));
    },
  };
}

/** One transaction. */
function replace(
  records: IDBObjectStore,
  entries: readonly KeyValueEntry[],
  replacedKeys: readonly string[],
): Promise<void> {
  const { transaction } = records;
  try {
    for (const [key, value] of entries) records.put(value, key);
    for (const key of replacedKeys) records.delete(key);
  } catch (error) {
    // Thrown for a value that cannot be cloned: what was asked for before it would be written.
    transaction.abort();
    throw error;
  }
  return promisifyRequest(transaction);
}

/** As idb-keyval's `createStore`, but a database that failed to open or was closed is opened anew. */
function createUseStore(databaseName: string): UseStore {
  let opening: Promise<IDBDatabase> | undefined;
  const forget = (): void => {
    opening = undefined;
  };
  return async (mode, callback) => {
    opening ??= openDatabase(databaseName, forget);
    const current = opening;
    try {
      const database = await current;
      // Strict: a "complete" marker must not reach the disk before the shards that it vouches for.
      return await callback(
        database.transaction(STORE_NAME, mode, { durability: 'strict' }).objectStore(STORE_NAME),
      );
    } catch (error) {
      if (opening === current && !isQuotaError(error)) forget();
      throw error;
    }
  };
}

function openDatabase(databaseName: string, onClosed: () => void): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(databaseName, 1);
    request.addEventListener('upgradeneeded', () => void request.result.createObjectStore(STORE_NAME));
    request.addEventListener('error', () => reject(request.error));
    request.addEventListener('success', () => {
      const database = request.result;
      database.addEventListener('close', onClosed);
      // Another tab deletes or upgrades the database: holding on would block it for ever.
      database.addEventListener('versionchange', () => {
        database.close();
        onClosed();
      });
      resolve(database);
    });
  });
}

async function retrying<T>(operation: () => Promise<T>): Promise<T> {
  for (const delayMs of RETRY_DELAYS_MS) {
    try {
      return await operation();
    } catch (error) {
      if (isQuotaError(error)) throw error;
    }
    await delay(delayMs);
  }
  try {
    return await operation();
  } catch (error) {
    if (isQuotaError(error)) throw error;
    throw storageUnavailable(error);
  }
}

/** True for the error of a write that the origin's quota or the disk has no room for. */
export function isQuotaError(error: unknown): boolean {
  return error instanceof Error && error.name === 'QuotaExceededError';
}

/** The browser refuses its storage, for good or for now. */
export function storageUnavailable(cause: unknown): AutoglmError {
  const reason = cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause);
  return new AutoglmError('storage-unavailable', `The browser's storage does not work (${reason}).`, {
    value: reason,
    cure: 'Load again; if it stays, restart the browser, leave private browsing, or load without a cache.',
    cause,
  });
}
