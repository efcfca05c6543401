import { mkdir, open, rm, stat, truncate, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { createNodeKeyValueStore } from './node-key-value-store.ts';
import type { KeyValueStore } from './key-value-store.ts';
import type { CachedShard, PartialShard, ShardCache, ShardListing, ShardReader } from './shard-cache.ts';

/** What is known of a file; the file itself may hold bytes beyond `byteLength` that a killed process wrote. */
interface FileInfo {
  readonly byteLength: number;
  readonly pieceDigests: readonly string[];
  readonly isWhole: boolean;
}

const FILE_INFO = 'shard/';

/** Keeps each shard as a file of a folder, by the same rules as the browser's caches; for Node. */
export function createNodeShardCache(folder: string): ShardCache {
  const store = createNodeKeyValueStore(join(folder, 'records'));
  const shards = join(folder, 'shards');
  const pathOf = (key: string): string => join(shards, encodeURIComponent(key));
  const infoOf = (key: string): Promise<FileInfo | undefined> => store.get<FileInfo>(FILE_INFO + key);
  return {
    kind: 'files',
    store,
    get: async (key) => getShard(pathOf(key), await infoOf(key)),
    keptBytes: async (key) => (await infoOf(key))?.byteLength ?? 0,
    openPartial: async (key) => {
      await mkdir(shards, { recursive: true });
      return NodePartialShard.open(store, FILE_INFO + key, pathOf(key));
    },
    delete: async (key) => {
      await store.delete([FILE_INFO + key]);
      await rm(pathOf(key), { force: true });
    },
    list: async (): Promise<ShardListing[]> => {
      const keys = await store.keysBelow(FILE_INFO);
      const infos = await Promise.all(keys.map(infoOf));
      return keys.map((key, index) => ({
        key,
        byteLength: infos[index]?.byteLength ?? 0,
        isWhole: infos[index]?.isWhole ?? false,
      }));
    },
  };
}

async function getShard(path: string, info: FileInfo | undefined): Promise<CachedShard | undefined> {
  if (!info?.isWhole || (await sizeOf(path)) !== info.byteLength) return undefined;
  return { ...info, openReader: () => openReader(path, info.byteLength) };
}

async function openReader(path: string, byteLength: number): Promise<ShardReader> {
  const file = await open(path, 'r');
  let position = 0;
  let isOpen = true;
  return {
    async read(buffer) {
      const wanted = Math.min(buffer.byteLength, byteLength - position);
      let filled = 0;
      while (filled < wanted) {
        const rest = new Uint8Array(buffer, filled, wanted - filled);
        const { bytesRead } = await file.read(rest, { position: position + filled });
        if (bytesRead === 0) break;
        filled += bytesRead;
      }
      position += filled;
      return new Uint8Array(buffer, 0, filled);
    },
    async close() {
      if (!isOpen) return;
      isOpen = false;
      await file.close();
    },
  };
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return -1;
    throw error;
  }
}

/** Appends to the file; the record is written after the bytes that it vouches for. */
class NodePartialShard implements PartialShard {
  readonly #store: KeyValueStore;
  readonly #recordKey: string;
  readonly #path: string;
  readonly #pieceDigests: string[];
  #file: FileHandle | undefined;
  #byteLength: number;

  constructor(
    place: { store: KeyValueStore; recordKey: string; path: string },
    file: FileHandle,
    info: FileInfo | undefined,
  ) {
    this.#store = place.store;
    this.#recordKey = place.recordKey;
    this.#path = place.path;
    this.#file = file;
    this.#pieceDigests = [...(info?.pieceDigests ?? [])];
    this.#byteLength = info?.byteLength ?? 0;
  }

  static async open(store: KeyValueStore, recordKey: string, path: string): Promise<NodePartialShard> {
    const info = await store.get<FileInfo>(recordKey);
    const isUsable = info !== undefined && (await sizeOf(path)) >= info.byteLength;
    const file = await open(path, isUsable ? 'r+' : 'w+');
    if (isUsable) await truncate(path, info.byteLength);
    return new NodePartialShard({ store, recordKey, path }, file, isUsable ? info : undefined);
  }

  get byteLength(): number {
    return this.#byteLength;
  }

  get pieceDigests(): readonly string[] {
    return this.#pieceDigests;
  }

  async append(piece: Uint8Array<ArrayBuffer>, digest: string): Promise<void> {
    await this.#file?.write(piece, 0, piece.byteLength, this.#byteLength);
    this.#byteLength += piece.byteLength;
    this.#pieceDigests.push(digest);
    await this.#save(false);
  }

  openReader(): Promise<ShardReader> {
    return openReader(this.#path, this.#byteLength);
  }

  async commit(): Promise<void> {
    await this.#file?.sync();
    await this.#save(true);
    await this.close();
  }

  async discard(): Promise<void> {
    await this.#file?.truncate(0);
    this.#byteLength = 0;
    this.#pieceDigests.length = 0;
    await this.#save(false);
  }

  async close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.close();
  }

  #save(isWhole: boolean): Promise<void> {
    const info: FileInfo = {
      byteLength: this.#byteLength,
      pieceDigests: [...this.#pieceDigests],
      isWhole,
    };
    return this.#store.set([[this.#recordKey, info]]);
  }
}
