import { AutoglmError } from '../base/errors.ts';
import { isIntact } from './cached-pieces.ts';
import { isQuotaError } from './key-value-store.ts';
import type { ShardEntry } from './manifest.ts';
import type { PieceMemory } from './pieces.ts';
import type { CreateSha256 } from './sha256.ts';
import type { CachedShard, ShardCache } from './shard-cache.ts';
import { downloadShard } from './shard-download.ts';
import { withShardLock } from './shard-lock.ts';
import type { ShardSource } from './shard-source.ts';

/** A shard of a model and its key in the cache. */
export interface KeyedShard {
  readonly shard: ShardEntry;
  readonly key: string;
}

/** What `ShardFetcher` needs. */
export interface ShardFetcherOptions {
  readonly source: ShardSource;
  readonly cache: ShardCache;
  readonly shards: readonly KeyedShard[];
  readonly createSha256: CreateSha256;
  readonly memory: PieceMemory;
  /** Shards that are fetched at the same time. */
  readonly parallelCount: number;
  readonly signal: AbortSignal | undefined;
  /** Change of the bytes that are there, summed over all shards. */
  readonly onBytes: (change: number) => void;
}

/** A fetch of all shards under way. */
export interface RunningFetch {
  /** One promise a shard, in order: it is whole and in the cache. */
  readonly whenReady: readonly Promise<void>[];
  /** Nothing runs any more; never rejects. */
  readonly whenSettled: Promise<void>;
}

/** Brings the shards of a model into the cache, a few at a time and each by one tab only. */
export class ShardFetcher {
  readonly #options: ShardFetcherOptions;
  /** Bytes of each shard that were reported. */
  readonly #loadedBytes: number[];

  constructor(options: ShardFetcherOptions) {
    this.#options = options;
    this.#loadedBytes = options.shards.map(() => 0);
  }

  /** Starts on all shards in order. After one has failed no further shard is begun. */
  start(): RunningFetch {
    const { shards, parallelCount } = this.#options;
    const turns = shards.map(() => createDeferred());
    let nextIndex = 0;
    const work = async (): Promise<void> => {
      while (nextIndex < turns.length) {
        const index = nextIndex;
        nextIndex += 1;
        try {
          await this.ensure(index);
          turns[index]?.resolve();
        } catch (error) {
          nextIndex = turns.length;
          for (const turn of turns) turn.reject(error);
        }
      }
    };
    const workers = Array.from({ length: parallelCount }, work);
    return {
      whenReady: turns.map((turn) => turn.promise),
      whenSettled: Promise.all(workers).then(() => {}),
    };
  }

  /** Resolves when the shard is whole and in the cache. @throws as `downloadShard`, and `quota-exceeded`. */
  async ensure(index: number): Promise<void> {
    const { cache, signal } = this.#options;
    const { key, shard } = this.#options.shards[index] as KeyedShard;
    signal?.throwIfAborted();
    if (await this.#isThere(index)) return;
    await withShardLock(
      `${cache.kind}/${key}`,
      {
        signal,
        onOthersBytes: (loadedBytes) => this.#report(index, Math.min(loadedBytes, shard.byteLength)),
      },
      async (broadcast) => {
        // Another tab may have fetched it while this one waited.
        if (await this.#isThere(index)) return;
        await this.#download(index, (loadedBytes) => broadcast.post(loadedBytes));
      },
    );
  }

  /** The shard as it is in the cache; `undefined` when it has gone. */
  get(index: number): Promise<CachedShard | undefined> {
    return this.#options.cache.get((this.#options.shards[index] as KeyedShard).key);
  }

  /** Deletes a shard that was found damaged and fetches it again, unless another tab already did. */
  async replace(index: number): Promise<void> {
    const { cache, signal } = this.#options;
    const { key } = this.#options.shards[index] as KeyedShard;
    await withShardLock(`${cache.kind}/${key}`, { signal }, async (broadcast) => {
      const cached = await cache.get(key);
      if (cached && (await isIntact(cached, signal))) return;
      await cache.delete(key);
      this.#report(index, 0);
      await this.#download(index, (loadedBytes) => broadcast.post(loadedBytes));
    });
  }

  async #isThere(index: number): Promise<boolean> {
    const { key, shard } = this.#options.shards[index] as KeyedShard;
    const cached = await this.#options.cache.get(key);
    if (cached?.byteLength !== shard.byteLength) return false;
    this.#report(index, shard.byteLength);
    return true;
  }

  async #download(index: number, onOwnBytes: (loadedBytes: number) => void): Promise<void> {
    const { source, cache, signal, createSha256, memory } = this.#options;
    const { key, shard } = this.#options.shards[index] as KeyedShard;
    const onLoadedBytes = (loadedBytes: number): void => {
      this.#report(index, loadedBytes);
      onOwnBytes(loadedBytes);
    };
    try {
      await downloadShard(source, shard, key, cache, { signal, createSha256, memory, onLoadedBytes });
    } catch (error) {
      throw isQuotaError(error) ? await this.#quotaExceeded(error) : error;
    }
  }

  #report(index: number, loadedBytes: number): void {
    const change = loadedBytes - (this.#loadedBytes[index] as number);
    this.#loadedBytes[index] = loadedBytes;
    if (change !== 0) this.#options.onBytes(change);
  }

  async #quotaExceeded(cause: unknown): Promise<AutoglmError> {
    const { cache, shards } = this.#options;
    const kept = await Promise.all(shards.map(({ key }) => cache.keptBytes(key)));
    const keptBytes = kept.reduce((total, byteLength) => total + byteLength, 0);
    const totalBytes = shards.reduce((total, { shard }) => total + shard.byteLength, 0);
    return quotaExceeded(totalBytes - keptBytes, keptBytes, cause);
  }
}

/** The model needs more room than the browser gives. `value` is the number of bytes still needed. */
export function quotaExceeded(neededBytes: number, keptBytes: number, cause?: unknown): AutoglmError {
  const message =
    `The browser's storage is full: ${toMegabytes(neededBytes)} more are needed` +
    ` and ${toMegabytes(keptBytes)} are already kept.`;
  return new AutoglmError('quota-exceeded', message, {
    value: neededBytes,
    limit: keptBytes,
    cure: 'Free space on the disk or delete another model, then load again: what is kept is not fetched twice.',
    cause,
  });
}

function toMegabytes(byteLength: number): string {
  return `${Math.ceil(byteLength / 1e6).toLocaleString('en')} MB`;
}

interface Deferred {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

function createDeferred(): Deferred {
  let resolve: () => void = () => {};
  let reject: (error: unknown) => void = () => {};
  const promise = new Promise<void>((onDone, onError) => {
    resolve = onDone;
    reject = onError;
  });
  // Whoever awaits the shard sees the error; a load that ended before does not want it.
  promise.catch(() => {});
  return { promise, resolve, reject };
}
