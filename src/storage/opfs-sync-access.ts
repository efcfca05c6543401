/** The part of `FileSystemSyncAccessHandle` that the cache uses. */
export interface SyncAccess {
  read(buffer: Uint8Array<ArrayBuffer>, options: { at: number }): number;
  write(buffer: Uint8Array<ArrayBuffer>, options: { at: number }): number;
  truncate(byteLength: number): void;
  flush(): void;
  close(): void;
}

interface SyncCapableHandle extends FileSystemFileHandle {
  createSyncAccessHandle(options?: { mode: 'readwrite' | 'read-only' }): Promise<SyncAccess>;
}

/**
 * A synchronous handle, where the platform has one: in dedicated workers only. Several readers can hold a file
 * at once; `undefined` sends the caller to the asynchronous way.
 */
export async function openSyncAccess(
  handle: FileSystemFileHandle,
  mode: 'readwrite' | 'read-only',
): Promise<SyncAccess | undefined> {
  if (!('createSyncAccessHandle' in handle)) return undefined;
  try {
    return await (handle as SyncCapableHandle).createSyncAccessHandle({ mode });
  } catch (error) {
    // Browsers without modes give a reader the whole file to itself, which another tab may hold.
    if (mode === 'read-only' && isLocked(error)) return undefined;
    throw error;
  }
}

function isLocked(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'NoModificationAllowedError';
}
