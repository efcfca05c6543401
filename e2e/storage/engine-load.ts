import type { EngineLoadRequest, EngineLoadResult } from './engine-load-worker.ts';

declare global {
  interface Window {
    loadEngine: typeof loadEngine;
  }
}

/** Loads in a worker, which ends with the load. */
async function loadEngine(request: EngineLoadRequest): Promise<EngineLoadResult> {
  const worker = new Worker(new URL('./engine-load-worker.ts', import.meta.url), { type: 'module' });
  try {
    return await new Promise<EngineLoadResult>((resolve, reject) => {
      worker.addEventListener('error', ({ message }) => reject(new Error(message)));
      worker.addEventListener('message', ({ data }) => {
        if (data.result) resolve(data.result);
        else reject(new Error(data.error));
      });
      // oxlint-disable-next-line require-post-message-target-origin -- a worker has no such argument.
      worker.postMessage(request);
    });
  } finally {
    worker.terminate();
  }
}

window.loadEngine = loadEngine;
