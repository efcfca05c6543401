import { createBlobReader } from './blob-reader.ts';
import { createKeyValueStore, type KeyValueStore } from './key-value-store.ts';
import type { CachedShard, PartialShard, ShardCache, ShardListing, ShardReader } from './shard-cache.ts';

/** What is known of a whole shard beside its Blob. */
interface ShardInfo {
  readonly byteLength: number;
  readonly pieceDigests: readonly string[];
}

/** What is known of an unfinished shard; its bytes are `blobCount` Blobs. */
interface PartialInfo extends ShardInfo {
  readonly blobCount: number;
}

const SHARD = 'shard/';
const SHARD_INFO = 'shard-info/';
const PARTIAL = 'partial/';
const PARTIAL_INFO = 'partial-info/';

/**
 * Unfinished shards are written this often: a killed tab loses two seconds of its download, and a shard that
 * arrives faster is written once instead of twice.
 */
const FLUSH_INTERVAL_MS = 2000;
/** Written earlier when so much waits: unwritten Blobs live in the browser's memory. */
const FLUSH_BYTES = 64 * 1024 * 1024;

/** Keeps each shard as one Blob in IndexedDB, or in another store that keeps Blobs. */
export function createIdbShardCache(
  databaseName = 'autoglm-models',
  store: KeyValueStore = createKeyValueStore(databaseName),
): ShardCache {
  return {
    kind: 'indexeddb',
    store,
    get: (key) => getShard(store, key),
    keptBytes: async (key) => {
      // In this order, as in a list: a shard that becomes whole between the two is seen as one of them.
      const partial = await store.get<PartialInfo>(PARTIAL_INFO + key);
      const whole = await store.get<ShardInfo>(SHARD_INFO + key);
      return (whole ?? partial)?.byteLength ?? 0;
    },
    openPartial: async (key) => new IdbPartialShard(store, key, await store.get(PARTIAL_INFO + key)),
    delete: async (key) => store.delete([SHARD + key, SHARD_INFO + key, ...(await partialKeys(store, key))]),
    list: () => listShards(store),
  };
}

async function getShard(store: KeyValueStore, key: string): Promise<CachedShard | undefined> {
  const info = await store.get<ShardInfo>(SHARD_INFO + key);
  const blob = info && (await store.get<Blob>(SHARD + key));
  if (blob === undefined || blob.size !== info?.byteLength) return undefined;
  return { ...info, openReader: async () => createBlobReader(blob) };
}

/** A shard that becomes whole in another tab meanwhile is listed once. */
async function listShards(store: KeyValueStore): Promise<ShardListing[]> {
  const list = async (prefix: string, isWhole: boolean): Promise<ShardListing[]> => {
    const keys = await store.keysBelow(prefix);
    const infos = await Promise.all(keys.map((key) => store.get<ShardInfo>(prefix + key)));
    return keys.flatMap((key, index) => {
      const byteLength = infos[index]?.byteLength;
      return byteLength === undefined ? [] : [{ key, byteLength, isWhole }];
    });
  };
  const partial = await list(PARTIAL_INFO, false);
  const whole = await list(SHARD_INFO, true);
  return [...new Map([...partial, ...whole].map((listing) => [listing.key, listing])).values()];
}

async function partialKeys(store: KeyValueStore, key: string): Promise<string[]> {
  const parts = await store.keysBelow(`${PARTIAL}${key}/`);
  return [PARTIAL_INFO + key, ...parts.map((part) => `${PARTIAL}${key}/${part}`)];
}

class IdbPartialShard implements PartialShard {
  readonly #store: KeyValueStore;
  readonly #key: string;
  readonly #pieceDigests: string[];
  #byteLength: number;
  /** Blobs already written. */
  #blobCount: number;
  /** Pieces that are not written yet. */
  #waiting: Blob[] = [];
  #flushedAtMs = performance.now();
  #flushing: Promise<void> = Promise.resolve();

  constructor(store: KeyValueStore, key: string, info: PartialInfo | undefined) {
    this.#store = store;
    this.#key = key;
    this.#pieceDigests = [...(info?.pieceDigests ?? [])];
    this.#byteLength = info?.byteLength ?? 0;
    this.#blobCount = info?.blobCount ?? 0;
  }

  get byteLength(): number {
    return this.#byteLength;
  }

  get pieceDigests(): readonly string[] {
    return this.#pieceDigests;
  }

  async append(piece: Uint8Array<ArrayBuffer>, digest: string): Promise<void> {
    this.#waiting.push(new Blob([piece]));
    this.#pieceDigests.push(digest);
    this.#byteLength += piece.byteLength;
    const waitingBytes = this.#waiting.reduce((total, blob) => total + blob.size, 0);
    const isDue = performance.now() - this.#flushedAtMs >= FLUSH_INTERVAL_MS;
    if (!isDue && waitingBytes < FLUSH_BYTES) return;
    // The download goes on during this write and waits only if the next one comes due before it is done.
    await this.#flushing;
    this.#flushing = this.#flush();
    this.#flushing.catch(() => {});
  }

  async openReader(): Promise<ShardReader> {
    // What a failed write could not put away waits again.
    await this.#flushing.catch(() => {});
    return createBlobReader(new Blob([...(await this.#readParts()), ...this.#waiting]));
  }

  async commit(): Promise<void> {
    await this.#flushing;
    const whole = new Blob([...(await this.#readParts()), ...this.#waiting]);
    const info: ShardInfo = { byteLength: this.#byteLength, pieceDigests: this.#pieceDigests };
    const replacedKeys = this.#blobCount > 0 ? await partialKeys(this.#store, this.#key) : [];
    // At once: a tab that is closed between the two would leave a part that nobody deletes any more.
    await this.#store.set(
      [
        [SHARD + this.#key, whole],
        [SHARD_INFO + this.#key, info],
      ],
      replacedKeys,
    );
    this.#waiting = [];
  }

  async discard(): Promise<void> {
    await this.#flushing.catch(() => {});
    this.#waiting = [];
    this.#pieceDigests.length = 0;
    this.#byteLength = 0;
    this.#blobCount = 0;
    await this.#store.delete(await partialKeys(this.#store, this.#key));
  }

  async close(): Promise<void> {
    await this.#flushing.catch(() => {});
    await this.#flush();
  }

  async #flush(): Promise<void> {
    if (this.#waiting.length === 0) return;
    const pieces = this.#waiting;
    const info: PartialInfo = {
      byteLength: this.#byteLength,
      pieceDigests: [...this.#pieceDigests],
      blobCount: this.#blobCount + 1,
    };
    this.#waiting = [];
    this.#flushedAtMs = performance.now();
    try {
      await this.#store.set([
        [`${PARTIAL}${this.#key}/${this.#blobCount}`, new Blob(pieces)],
        [PARTIAL_INFO + this.#key, info],
      ]);
      this.#blobCount += 1;
    } catch (error) {
      // Still part of the shard: the commit or a later write may find room.
      this.#waiting.unshift(...pieces);
      throw error;
    }
  }

  async #readParts(): Promise<Blob[]> {
    const indices = Array.from({ length: this.#blobCount }, (_, index) => index);
    const parts = await Promise.all(
      indices.map((index) => this.#store.get<Blob>(`${PARTIAL}${this.#key}/${index}`)),
    );
    // A lost part makes the shard shorter than its digests tell, which the reader of it notices.
    return parts.filter((part) => part !== undefined);
  }
}
