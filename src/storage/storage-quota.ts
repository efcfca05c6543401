import { isQuotaError } from './key-value-store.ts';

/** What the browser tells about the origin's storage. */
export interface StorageUsage {
  readonly usedBytes: number;
  /** The browser's estimate: Chromium always says used + 10 GiB, whatever is free. `probeQuota` tells more. */
  readonly quotaBytes: number;
  /** False: the browser may delete everything when the disk runs full. */
  readonly isPersisted: boolean;
}

/** Reads the browser's own figures; zeros where it tells none. */
export async function estimateUsage(): Promise<StorageUsage> {
  const { usage = 0, quota = 0 } = (await navigator.storage?.estimate?.()) ?? {};
  const isPersisted = (await navigator.storage?.persisted?.()) ?? false;
  return { usedBytes: usage, quotaBytes: quota, isPersisted };
}

/**
 * Asks the browser not to evict the origin's storage. Chromium decides by how much the site is used, Firefox
 * asks the user. Pages only: a worker gets the present state.
 */
export async function requestPersistence(): Promise<boolean> {
  const storage = globalThis.navigator?.storage;
  if (storage === undefined) return false;
  if ('persist' in storage) return storage.persist();
  return (storage as StorageManager).persisted?.() ?? false;
}

/**
 * Finds out whether so many bytes can be kept, by making a file of that size in the private file system and
 * deleting it again: the browser checks the growth against the real quota and disk, which no estimate does.
 * The file is sparse, so this takes milliseconds.
 *
 * @returns `undefined` where the platform has no private file system to ask.
 */
export async function probeQuota(byteLength: number): Promise<boolean | undefined> {
  const root = await openRoot();
  if (root === undefined) return undefined;
  const name = `autoglm-quota-probe-${crypto.randomUUID()}`;
  const handle = await root.getFileHandle(name, { create: true });
  try {
    const writable = await handle.createWritable();
    try {
      await writable.truncate(byteLength);
      return true;
    } catch (error) {
      if (!isQuotaError(error)) throw error;
      return false;
    } finally {
      // Aborted, not closed: closing would move the file into place.
      await writable.abort().catch(() => {});
    }
  } finally {
    await root.removeEntry(name);
  }
}

async function openRoot(): Promise<FileSystemDirectoryHandle | undefined> {
  try {
    const root = await navigator.storage.getDirectory();
    return 'createWritable' in FileSystemFileHandle.prototype ? root : undefined;
  } catch {
    return undefined;
  }
}
