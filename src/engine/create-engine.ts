import { AutoglmError } from '../base/errors.ts';
import type { Engine } from './engine.ts';
import type { EngineOptions } from './engine-options.ts';
import { TrustedWorker as Worker } from './trusted-worker.ts';
import { WorkerEngine } from './worker-engine.ts';

/**
 * Creates an engine for a page: the model runs in a worker, so that the page stays responsive.
 *
 * @throws AutoglmError `webgpu-unavailable` where the browser or the machine has none, `request-invalid` for a
 *   backend that this version does not have, or any fault of the load; the signal's `AbortError`
 */
export async function createEngine(options: EngineOptions): Promise<Engine> {
  const { backend = 'auto', model, signal } = options;
  if (backend !== 'auto' && backend !== 'webgpu') {
    throw new AutoglmError('request-invalid', `The backend "${backend}" is not available.`, {
      value: backend,
      limit: 'auto or webgpu',
      cure: 'Use backend="auto".',
    });
  }
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
    isRelative ? { ...options, model: new URL(model, document.baseURI).href } : options,
  );
}
