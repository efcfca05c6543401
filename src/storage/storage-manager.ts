import { AutoglmError } from '../base/errors.ts';
import { readCheckedPieces } from './cached-pieces.ts';
import { parseManifest } from './manifest.ts';
import { ModelCatalog, type ModelRecord } from './model-catalog.ts';
import { openModel, type DownloadModelOptions } from './model-loader.ts';
import type { ShardCache } from './shard-cache.ts';
import { withShardLock } from './shard-lock.ts';
import type { ShardSource } from './shard-source.ts';
import { estimateUsage, requestPersistence, type StorageUsage } from './storage-quota.ts';

/** One model as a list shows it. */
export interface StoredModel extends Omit<ModelRecord, 'shards'> {
  /** Bytes of its shards that are there, whole or in part. */
  readonly keptBytes: number;
  /** Bytes that deleting it would free: shards that no other model uses. */
  readonly ownBytes: number;
}

/** Lists, deletes, exports and imports the models of a cache. */
export class StorageManager {
  readonly #cache: ShardCache;
  readonly #catalog: ModelCatalog;

  constructor(cache: ShardCache) {
    this.#cache = cache;
    this.#catalog = new ModelCatalog(cache.store);
  }

  /** Models by last use, the latest first. */
  async listModels(): Promise<StoredModel[]> {
    const records = await this.#catalog.list();
    const byteLengths = new Map((await this.#cache.list()).map(({ key, byteLength }) => [key, byteLength]));
    const sum = (keys: Iterable<string>): number =>
      [...keys].reduce((total, key) => total + (byteLengths.get(key) ?? 0), 0);
    return records
      .map((record) => {
        const { shards, ...rest } = record;
        const keys = new Set(shards.map(({ key }) => key));
        return { ...rest, keptBytes: sum(keys), ownBytes: sum(keysOfNoOther(record, records)) };
      })
      .toSorted((a, b) => b.lastUsed - a.lastUsed);
  }

  /** Deletes a model and the shards that no other uses. @returns bytes freed. */
  async deleteModel(id: string): Promise<number> {
    const records = await this.#catalog.list();
    const record = records.find((other) => other.id === id);
    if (record === undefined) return 0;
    await this.#catalog.delete(id);
    return this.#deleteShards(keysOfNoOther(record, records));
  }

  /** Deletes shards, whole or partial, that belong to no model. @returns bytes freed. */
  async deleteOrphans(): Promise<number> {
    const used = new Set((await this.#catalog.list()).flatMap(({ shards }) => shards.map(({ key }) => key)));
    const listed = await this.#cache.list();
    return this.#deleteShards(new Set(listed.map(({ key }) => key).filter((key) => !used.has(key))));
  }

  /**
   * Writes a complete model as a folder that `importModel`, a server or the command line can use.
   *
   * @throws AutoglmError `shard-missing` when the model is not complete, `shard-corrupt` when a shard went bad.
   */
  async exportModel(
    id: string,
    directory: FileSystemDirectoryHandle,
    { signal, onProgress }: DownloadModelOptions = {},
  ): Promise<void> {
    const record = await this.#catalog.get(id);
    if (!record?.isComplete) throw incomplete(id);
    const texts = await this.#catalog.texts(id);
    const manifest = parseManifest(texts.get('tensor-cache.json') ?? texts.get('ndarray-cache.json') ?? '');
    let loadedBytes = 0;
    for (const [index, { dataPath }] of manifest.shards.entries()) {
      const cached = await this.#cache.get(record.shards[index]?.key ?? '');
      if (cached === undefined) throw incomplete(id);
      await writeFile(directory, dataPath, readCheckedPieces(cached), (byteLength) => {
        signal?.throwIfAborted();
        loadedBytes += byteLength;
        onProgress?.({
          phase: 'downloading',
          loadedBytes,
          totalBytes: manifest.byteLength,
          bytesPerSecond: 0,
        });
      });
    }
    for (const [path, text] of texts) await writeFile(directory, path, [new TextEncoder().encode(text)]);
  }

  /**
   * Copies a model from a folder into the cache.
   *
   * @param id names it, such as the URL that it would else be fetched from; the folder's own name unless told.
   */
  async importModel(
    source: ShardSource,
    options: DownloadModelOptions & { id?: string } = {},
  ): Promise<void> {
    const { id = source.id } = options;
    const model = await openModel(
      { ...source, id },
      { cache: this.#cache, signal: options.signal, refresh: true },
    );
    await model.download(options);
  }

  /** Bytes used by the origin and whether the browser may evict them. */
  usage(): Promise<StorageUsage> {
    return estimateUsage();
  }

  /** Asks the browser to keep the origin's storage. Call it from a page. @returns whether it will. */
  persist(): Promise<boolean> {
    return requestPersistence();
  }

  async #deleteShards(keys: ReadonlySet<string>): Promise<number> {
    let freedBytes = 0;
    for (const key of keys) {
      // A tab may be fetching it at this moment.
      await withShardLock(`${this.#cache.kind}/${key}`, {}, async () => {
        freedBytes += await this.#cache.keptBytes(key);
        await this.#cache.delete(key);
      });
    }
    return freedBytes;
  }
}

function keysOfNoOther(record: ModelRecord, records: readonly ModelRecord[]): Set<string> {
  const keys = new Set(record.shards.map(({ key }) => key));
  for (const other of records) {
    if (other.id !== record.id) for (const { key } of other.shards) keys.delete(key);
  }
  return keys;
}

async function writeFile(
  directory: FileSystemDirectoryHandle,
  path: string,
  pieces: AsyncIterable<Uint8Array<ArrayBuffer>> | Iterable<Uint8Array<ArrayBuffer>>,
  onWritten?: (byteLength: number) => void,
): Promise<void> {
  const handle = await directory.getFileHandle(path, { create: true });
  const writable = await handle.createWritable();
  try {
    for await (const piece of pieces) {
      await writable.write(piece);
      onWritten?.(piece.byteLength);
    }
    await writable.close();
  } catch (error) {
    await writable.abort().catch(() => {});
    throw error;
  }
}

function incomplete(id: string): AutoglmError {
  return new AutoglmError('shard-missing', `The model "${id}" is not complete in this browser.`, {
    value: id,
    cure: 'Load it once while its source can be reached, then export it.',
  });
}
