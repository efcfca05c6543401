import type { Engine } from './engine.ts';
import type { EngineOptions } from './engine-options.ts';
import { getGrammarLibraryUrl } from './grammar/library-url.ts';
import { askingToKeep } from './keep-storage.ts';
import { joinSharedWorker, type EngineWorker } from './shared-worker-port.ts';
import { TrustedWorker as Worker } from './trusted-worker.ts';
import { WorkerEngine } from './worker-engine.ts';

/**
 * Loads a model on WebGPU in a worker, so that the page stays responsive: in one that all pages of the origin
 * share where that has WebGPU, else in one of the page's own.
 *
 * @throws AutoglmError `webgpu-unavailable` where the browser or the machine has none, or any fault of the load;
 *   the signal's `AbortError`
 */
export async function openWorkerEngine(options: EngineOptions): Promise<Engine> {
  const {
    helperUrl: _url,
    helperToken: _token,
    apiKey: _key,
    onLocalPrompt: _prompt,
    webLlm: _mlc,
    ...rest
  } = options;
  const { model, signal, grammarLibraryUrl = getGrammarLibraryUrl() } = rest;
  signal?.throwIfAborted();
  // Workers resolve relative addresses against their own script.
  const settings = { ...rest, grammarLibraryUrl };
  const load = typeof model === 'string' ? { ...settings, model: toFolderUrl(model) } : settings;
  const worker = (isSharable(load) && (await joinSharedWorker())) || startWorker();
  return WorkerEngine.load(worker, askingToKeep(load));
}

/** One spelling of a folder's address: pages that write it with a last slash share engines with those that do not. */
function toFolderUrl(model: string): string {
  return new URL(model, document.baseURI).href.replace(/\/+$/, '');
}

/** Picked files belong to a page, and only a page's own worker has the fast way to the private file system. */
function isSharable({ worker = 'shared', model, cache }: EngineOptions): boolean {
  return worker === 'shared' && typeof model === 'string' && cache !== 'opfs';
}

function startWorker(): EngineWorker {
  // A URL by itself, so that bundlers find the worker and put it beside the module.
  return new Worker(new URL('../worker/engine-worker.ts', import.meta.url), {
    type: 'module',
    name: 'autoglm-engine',
  });
}
