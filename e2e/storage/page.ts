import type { StorageProgress } from '../../src/storage/load-progress.ts';
import { createDirectorySource } from '../../src/storage/directory-source.ts';
import { StorageManager } from '../../src/storage/storage-manager.ts';
import { probeQuota } from '../../src/storage/storage-quota.ts';
import { createCache, loadModel, type LoadRequest, type LoadResult } from './load-model.ts';

/** What the tests reach through `window`. */
export interface StorageTestPage {
  /** Loads in a dedicated worker, as the engine does. */
  loadInWorker(request: LoadRequest): Promise<LoadResult>;
  loadInPage(request: LoadRequest): Promise<LoadResult>;
  /** Last progress that a load in this page reported. */
  lastProgress: StorageProgress | undefined;
  createManager(kind: LoadRequest['cache']): StorageManager;
  createCache: typeof createCache;
  createDirectorySource: typeof createDirectorySource;
  probeQuota: typeof probeQuota;
}

declare global {
  interface Window {
    storageTest: StorageTestPage;
  }
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
  createManager: (kind) => {
    const cache = createCache(kind);
    if (cache === undefined) throw new Error('A manager needs a cache.');
    return new StorageManager(cache);
  },
  createCache,
  createDirectorySource,
  probeQuota,
};
