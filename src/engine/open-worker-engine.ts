// The page names it, and not the worker's script: bundlers that take in the package copy what its modules name.
import libraryUrl from '@mlc-ai/web-xgrammar?url&no-inline';
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
  const { model, signal, grammarLibraryUrl = new URL(libraryUrl, document.baseURI).href } = rest;
  signal?.throwIfAborted();
  // A URL by itself, so that bundlers find the worker and put it beside the module.
  const worker = new Worker(new URL('../worker/engine-worker.ts', import.meta.url), {
    type: 'module',
    name: 'autoglm-engine',
  });
  const isRelative = typeof model === 'string' && !/^[a-z][a-z0-9+.-]*:/i.test(model);
  // Workers resolve relative addresses against their own script.
  const settings = { ...rest, grammarLibraryUrl };
  return WorkerEngine.load(
    worker,
    isRelative ? { ...settings, model: new URL(model, document.baseURI).href } : settings,
  );
}
