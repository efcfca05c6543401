import type { EngineLoadRequest, EngineLoadResult } from './engine-load-worker.ts';

/** A load with the most memory that page and worker held meanwhile. */
export interface MeasuredLoad extends EngineLoadResult {
  readonly peakHeapBytes: number;
  readonly samples: number;
}

declare global {
  interface Window {
    loadEngine: typeof loadEngine;
  }
  interface Performance {
    measureUserAgentSpecificMemory(): Promise<{ readonly bytes: number }>;
  }
}

/**
 * Loads in a worker and watches the memory of page and worker together: JavaScript objects and array buffers. The
 * page must be isolated from other origins, and the browser started with `ForceEagerMeasureMemory`, or a sample
 * takes many seconds.
 */
async function loadEngine(request: EngineLoadRequest): Promise<MeasuredLoad> {
  const worker = new Worker(new URL('./engine-load-worker.ts', import.meta.url), { type: 'module' });
  const ended = new AbortController();
  let [peakHeapBytes, samples] = [0, 0];
  const watching = (async () => {
    while (!ended.signal.aborted) {
      const { bytes } = await performance.measureUserAgentSpecificMemory();
      peakHeapBytes = Math.max(peakHeapBytes, bytes);
      samples += 1;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  })();
  try {
    const result = await new Promise<EngineLoadResult>((resolve, reject) => {
      worker.addEventListener('error', ({ message }) => reject(new Error(message)));
      worker.addEventListener('message', ({ data }) => {
        if (data.result) resolve(data.result);
        else reject(new Error(data.error));
      });
      // oxlint-disable-next-line require-post-message-target-origin -- a worker has no such argument.
      worker.postMessage(request);
    });
    ended.abort();
    // The last sample may wait for the browser's pleasure.
    await Promise.race([watching, new Promise((resolve) => setTimeout(resolve, 2000))]);
    return { ...result, peakHeapBytes, samples };
  } finally {
    ended.abort();
    worker.terminate();
  }
}

window.loadEngine = loadEngine;
