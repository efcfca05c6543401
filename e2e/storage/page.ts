import type { StorageProgress } from '../../src/storage/load-progress.ts';
import { createDirectorySource, createFileListSource } from '../../src/storage/directory-source.ts';
import { collectDroppedFiles } from '../../src/storage/dropped-files.ts';
import type { ShardSource } from '../../src/storage/shard-source.ts';
import { StorageManager } from '../../src/storage/storage-manager.ts';
import { probeQuota } from '../../src/storage/storage-quota.ts';
import { createCache, loadFrom, loadModel, type LoadRequest, type LoadResult } from './load-model.ts';

/** What the tests reach through `window`. */
export interface StorageTestPage {
  /** Loads in a dedicated worker, as the engine does. */
  loadInWorker(request: LoadRequest): Promise<LoadResult>;
  loadInPage(request: LoadRequest): Promise<LoadResult>;
  /** Reads all shards in a worker, unchecked and unused. @returns milliseconds. */
  readRaw(kind: LoadRequest['cache']): Promise<number>;
  /** Deletes all models and shards. */
  clear(): Promise<void>;
  /** Last progress that a load in this page reported. */
  lastProgress: StorageProgress | undefined;
  createManager(kind: LoadRequest['cache']): StorageManager;
  createCache: typeof createCache;
  loadFrom(source: ShardSource, cache: LoadRequest['cache']): Promise<LoadResult>;
  createDirectorySource: typeof createDirectorySource;
  createFileListSource: typeof createFileListSource;
  collectDroppedFiles: typeof collectDroppedFiles;
  probeQuota: typeof probeQuota;
}

declare global {
  interface Window {
    storageTest: StorageTestPage;
  }
}

function readRaw(kind: LoadRequest['cache']): Promise<number> {
  const worker = new Worker(new URL('./raw-read-worker.ts', import.meta.url), { type: 'module' });
  return new Promise((resolve) => {
    worker.addEventListener('message', ({ data }) => resolve(data.milliseconds));
    // oxlint-disable-next-line require-post-message-target-origin -- a worker has no such argument.
    worker.postMessage(kind);
  });
}

async function clear(): Promise<void> {
  for (const kind of ['indexeddb', 'opfs'] as const) {
    const manager = createManager(kind);
    for (const { id } of await manager.listModels()) await manager.deleteModel(id);
    await manager.deleteOrphans();
  }
}

function createManager(kind: LoadRequest['cache']): StorageManager {
  const cache = createCache(kind);
  if (cache === undefined) throw new Error('A manager needs a cache.');
  return new StorageManager(cache);
}

function loadInWorker(request: LoadRequest): Promise<LoadResult> {
  const worker = new Worker(new URL('./load-worker.ts', import.meta.url), { type: 'module' });
  return new Promise((resolve, reject) => {
    worker.addEventListener('error', (event) => reject(new Error(event.message)));
    worker.addEventListener('message', ({ data }) => {
      if (data.progress) window.storageTest.lastProgress = data.progress;
      if (!data.result) return;
      worker.terminate();
      resolve(data.result);
    });
    // oxlint-disable-next-line require-post-message-target-origin -- a worker has no such argument.
    worker.postMessage(request);
  });
}

window.storageTest = {
  loadInWorker,
  loadInPage: (request) => loadModel(request),
  lastProgress: undefined,
  createManager,
  readRaw,
  clear,
  createCache,
  loadFrom: (source, cache) => loadFrom(source, { cache }),
  createDirectorySource,
  createFileListSource,
  collectDroppedFiles,
  probeQuota,
};
