import { isAutoglmError } from '../base/errors.ts';
import { notKept, readCheckedPieces } from './cached-pieces.ts';
import { ProgressMeter, type OnStorageProgress } from './load-progress.ts';
import { PieceMemory } from './pieces.ts';
import type { CreateSha256 } from './sha256.ts';
import type { ShardCache } from './shard-cache.ts';
import { ShardFetcher, type KeyedShard } from './shard-fetcher.ts';
import type { ShardSource } from './shard-source.ts';
import { TensorSplitter, type OnTensorBytes } from './tensor-splitter.ts';

/** Connections to one server that a page keeps busy. */
const PARALLEL_SHARDS = 3;

/** What `streamCached` needs. */
export interface CachedStreamOptions {
  readonly signal: AbortSignal | undefined;
  readonly onProgress: OnStorageProgress | undefined;
  readonly createSha256: CreateSha256;
  /** Absent: the shards are only brought into the cache. */
  readonly onTensorBytes: OnTensorBytes | undefined;
}

/**
 * Brings all shards into the cache and streams them from there, in order, while later ones still download.
 * Every byte was checked before it is handed out; a cached shard that has gone bad is fetched again, alone.
 */
export async function streamCached(
  source: ShardSource,
  cache: ShardCache,
  shards: readonly KeyedShard[],
  options: CachedStreamOptions,
): Promise<void> {
  const load = new CachedLoad(source, cache, shards, options);
  await load.run();
}

class CachedLoad {
  readonly #shards: readonly KeyedShard[];
  readonly #options: CachedStreamOptions;
  readonly #fetcher: ShardFetcher;
  readonly #uploadMeter: ProgressMeter;
  readonly #totalBytes: number;
  readonly #memory = new PieceMemory();
  readonly #controller = new AbortController();
  readonly #signal: AbortSignal;
  #fetchedBytes = 0;

  constructor(
    source: ShardSource,
    cache: ShardCache,
    shards: readonly KeyedShard[],
    options: CachedStreamOptions,
  ) {
    this.#shards = shards;
    this.#options = options;
    this.#totalBytes = shards.reduce((total, { shard }) => total + shard.byteLength, 0);
    const { signal, onProgress, createSha256 } = options;
    this.#signal = signal ? AbortSignal.any([signal, this.#controller.signal]) : this.#controller.signal;
    const fetchMeter = new ProgressMeter('downloading', this.#totalBytes, onProgress);
    // One phase at a time: the upload runs along unseen while there is still something to fetch.
    this.#uploadMeter = new ProgressMeter('uploading', this.#totalBytes, (progress) => {
      if (this.#fetchedBytes >= this.#totalBytes) onProgress?.(progress);
    });
    this.#fetcher = new ShardFetcher({
      source,
      cache,
      shards,
      createSha256,
      memory: this.#memory,
      parallelCount: PARALLEL_SHARDS,
      signal: this.#signal,
      onBytes: (change) => {
        this.#fetchedBytes += change;
        fetchMeter.add(change);
      },
    });
  }

  async run(): Promise<void> {
    const { whenReady, whenSettled } = this.#fetcher.start();
    try {
      for (const index of this.#shards.keys()) {
        await whenReady[index];
        if (this.#options.onTensorBytes) await this.#streamOrReplace(index, this.#options.onTensorBytes);
      }
    } catch (error) {
      this.#options.signal?.throwIfAborted();
      throw error;
    } finally {
      // Unfinished shards are kept before the caller hears of the end, so that a retry resumes them.
      this.#controller.abort(new DOMException('The load ended.', 'AbortError'));
      await whenSettled;
    }
  }

  async #streamOrReplace(index: number, onTensorBytes: OnTensorBytes): Promise<void> {
    try {
      await this.#stream(index, onTensorBytes);
    } catch (error) {
      if (!isAutoglmError(error, 'shard-corrupt')) throw error;
      await this.#fetcher.replace(index);
      await this.#stream(index, onTensorBytes);
    }
  }

  async #stream(index: number, onTensorBytes: OnTensorBytes): Promise<void> {
    const cached = await this.#fetcher.get(index);
    // Deleted since it was ready, by the user or the browser.
    if (cached === undefined) throw notKept('deleted');
    const splitter = new TensorSplitter((this.#shards[index] as KeyedShard).shard, onTensorBytes);
    let streamedBytes = 0;
    try {
      for await (const piece of readCheckedPieces(cached, this.#memory)) {
        this.#signal.throwIfAborted();
        await splitter.push(piece);
        streamedBytes += piece.byteLength;
        this.#uploadMeter.add(piece.byteLength);
      }
    } catch (error) {
      this.#uploadMeter.add(-streamedBytes);
      throw error;
    }
  }
}
