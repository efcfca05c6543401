import { createBlobReader } from './blob-reader.ts';
import { createKeyValueStore, storageUnavailable, type KeyValueStore } from './key-value-store.ts';
import { openSyncAccess, type SyncAccess } from './opfs-sync-access.ts';
import type { CachedShard, PartialShard, ShardCache, ShardListing, ShardReader } from './shard-cache.ts';

/** What is known of a file; the file itself may hold bytes beyond `byteLength` that a killed tab wrote. */
interface FileInfo {
  readonly byteLength: number;
  readonly pieceDigests: readonly string[];
  readonly isWhole: boolean;
}

const FILE_INFO = 'opfs-file/';
const FLUSH_INTERVAL_MS = 2000;

/**
 * Keeps each shard as a file of the origin's private file system. In a dedicated worker reads and writes go
 * through synchronous handles, several times faster than IndexedDB; elsewhere an unfinished shard only
 * survives a clean stop.
 */
export function createOpfsShardCache(name = 'autoglm-models'): ShardCache {
  const store = createKeyValueStore(name);
  const openDirectory = async (): Promise<FileSystemDirectoryHandle> => {
    try {
      const root = await navigator.storage.getDirectory();
      return await root.getDirectoryHandle(name, { create: true });
    } catch (error) {
      throw storageUnavailable(error);
    }
  };
  return {
    kind: 'opfs',
    store,
    get: async (key) => getShard(await openDirectory(), key, await store.get(FILE_INFO + key)),
    keptBytes: async (key) => (await store.get<FileInfo>(FILE_INFO + key))?.byteLength ?? 0,
    openPartial: async (key) => OpfsPartialShard.open(store, key, await openDirectory()),
    delete: async (key) => deleteFile(store, await openDirectory(), key),
    list: () => listFiles(store),
  };
}

async function getShard(
  directory: FileSystemDirectoryHandle,
  key: string,
  info: FileInfo | undefined,
): Promise<CachedShard | undefined> {
  if (!info?.isWhole) return undefined;
  const handle = await findFile(directory, key);
  if (handle === undefined || (await handle.getFile()).size !== info.byteLength) return undefined;
  return { ...info, openReader: () => openFileReader(handle, info.byteLength) };
}

async function openFileReader(handle: FileSystemFileHandle, byteLength: number): Promise<ShardReader> {
  const access = await openSyncAccess(handle, 'read-only');
  if (access === undefined) return createBlobReader((await handle.getFile()).slice(0, byteLength));
  let position = 0;
  return {
    async read(buffer) {
      const view = new Uint8Array(buffer, 0, Math.min(buffer.byteLength, byteLength - position));
      const readBytes = access.read(view, { at: position });
      position += readBytes;
      return view.subarray(0, readBytes);
    },
    close: async () => access.close(),
  };
}

async function listFiles(store: KeyValueStore): Promise<ShardListing[]> {
  const keys = await store.keysBelow(FILE_INFO);
  const infos = await Promise.all(keys.map((key) => store.get<FileInfo>(FILE_INFO + key)));
  return keys.map((key, index) => ({
    key,
    byteLength: infos[index]?.byteLength ?? 0,
    isWhole: infos[index]?.isWhole ?? false,
  }));
}

async function deleteFile(
  store: KeyValueStore,
  directory: FileSystemDirectoryHandle,
  key: string,
): Promise<void> {
  await store.delete([FILE_INFO + key]);
  if (await findFile(directory, key)) await directory.removeEntry(key);
}

async function findFile(
  directory: FileSystemDirectoryHandle,
  key: string,
): Promise<FileSystemFileHandle | undefined> {
  try {
    return await directory.getFileHandle(key);
  } catch (error) {
    if (error instanceof DOMException && error.name === 'NotFoundError') return undefined;
    throw error;
  }
}

/** Appends to the file; `info` is written after the bytes that it vouches for. */
class OpfsPartialShard implements PartialShard {
  readonly #store: KeyValueStore;
  readonly #key: string;
  readonly #directory: FileSystemDirectoryHandle;
  readonly #handle: FileSystemFileHandle;
  readonly #pieceDigests: string[];
  #byteLength: number;
  #sync: SyncAccess | undefined;
  #writable: FileSystemWritableFileStream | undefined;
  #flushedAtMs = performance.now();
  #isSaved = true;

  static async open(
    store: KeyValueStore,
    key: string,
    directory: FileSystemDirectoryHandle,
  ): Promise<OpfsPartialShard> {
    const handle = await directory.getFileHandle(key, { create: true });
    const info = await store.get<FileInfo>(FILE_INFO + key);
    const { size } = await handle.getFile();
    const isUsable = info !== undefined && size >= info.byteLength;
    return new OpfsPartialShard(store, key, directory, handle, isUsable ? info : undefined);
  }

  constructor(
    store: KeyValueStore,
    key: string,
    directory: FileSystemDirectoryHandle,
    handle: FileSystemFileHandle,
    info: FileInfo | undefined,
  ) {
    this.#store = store;
    this.#key = key;
    this.#directory = directory;
    this.#handle = handle;
    this.#pieceDigests = [...(info?.pieceDigests ?? [])];
    this.#byteLength = info?.byteLength ?? 0;
  }

  get byteLength(): number {
    return this.#byteLength;
  }

  get pieceDigests(): readonly string[] {
    return this.#pieceDigests;
  }

  async append(piece: Uint8Array<ArrayBuffer>, digest: string): Promise<void> {
    await this.#write(piece);
    this.#byteLength += piece.byteLength;
    this.#pieceDigests.push(digest);
    this.#isSaved = false;
    if (this.#sync === undefined || performance.now() - this.#flushedAtMs < FLUSH_INTERVAL_MS) return;
    this.#flushedAtMs = performance.now();
    this.#sync.flush();
    await this.#saveInfo(false);
  }

  async openReader(): Promise<ShardReader> {
    await this.#closeFile();
    return openFileReader(this.#handle, this.#byteLength);
  }

  async commit(): Promise<void> {
    await this.#truncate();
    await this.#closeFile();
    await this.#saveInfo(true);
  }

  async discard(): Promise<void> {
    await this.#closeFile();
    this.#pieceDigests.length = 0;
    this.#byteLength = 0;
    this.#isSaved = true;
    await deleteFile(this.#store, this.#directory, this.#key);
    await this.#directory.getFileHandle(this.#key, { create: true });
  }

  async close(): Promise<void> {
    await this.#closeFile();
    if (!this.#isSaved) await this.#saveInfo(false);
  }

  async #write(piece: Uint8Array<ArrayBuffer>): Promise<void> {
    await this.#openFile();
    if (this.#sync === undefined) {
      return this.#writable?.write({ type: 'write', position: this.#byteLength, data: piece });
    }
    const writtenBytes = this.#sync.write(piece, { at: this.#byteLength });
    // Where the quota ends, Chromium 156 throws nothing and returns an error number as if it were a length.
    if (writtenBytes !== piece.byteLength) {
      throw new DOMException('The private file system is full.', 'QuotaExceededError');
    }
  }

  async #openFile(): Promise<void> {
    if (this.#sync !== undefined || this.#writable !== undefined) return;
    this.#sync = await openSyncAccess(this.#handle, 'readwrite');
    if (this.#sync === undefined) {
      this.#writable = await this.#handle.createWritable({ keepExistingData: true });
    }
  }

  async #truncate(): Promise<void> {
    if (this.#sync === undefined) await this.#writable?.truncate(this.#byteLength);
    else this.#sync.truncate(this.#byteLength);
  }

  async #closeFile(): Promise<void> {
    const [sync, writable] = [this.#sync, this.#writable];
    this.#sync = undefined;
    this.#writable = undefined;
    sync?.flush();
    sync?.close();
    await writable?.close();
  }

  async #saveInfo(isWhole: boolean): Promise<void> {
    const info: FileInfo = { byteLength: this.#byteLength, pieceDigests: [...this.#pieceDigests], isWhole };
    await this.#store.set([[FILE_INFO + this.#key, info]]);
    this.#isSaved = true;
  }
}
