import type { Engine } from './engine.ts';
import type { EngineOptions } from './engine-options.ts';
import { TrustedWorker as Worker } from './trusted-worker.ts';
import { WorkerEngine } from './worker-engine.ts';

/**
 * Loads a model on WebGPU in a worker, so that the page stays responsive.
 *
 * @throws AutoglmError `webgpu-unavailable` where the browser or the machine has none, or any fault of the load;
 *   the signal's `AbortError`
 */
export async function openWorkerEngine(options: EngineOptions): Promise<Engine> {
  const { helperUrl: _url, helperToken: _token, apiKey: _key, onLocalPrompt: _prompt, ...rest } = options;
  const { model, signal } = rest;
  signal?.throwIfAborted();
  // A URL by itself, so that bundlers find the worker and put it beside the module.
  const worker = new Worker(new URL('../worker/engine-worker.ts', import.meta.url), {
    type: 'module',
    name: 'autoglm-engine',
  });
  const isRelative = typeof model === 'string' && !/^[a-z][a-z0-9+.-]*:/i.test(model);
  // Workers resolve relative addresses against their own script.
  return WorkerEngine.load(
    worker,
    isRelative ? { ...rest, model: new URL(model, document.baseURI).href } : rest,
  );
}
