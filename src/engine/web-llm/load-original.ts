import type {
  AppConfig,
  ChatOptions,
  InitProgressReport,
  LogitProcessor,
  LogLevel,
  MLCEngineInterface,
} from '@mlc-ai/web-llm';
import { abortable } from '../../base/abortable.ts';
import { AutoglmError } from '../../base/errors.ts';
import { isServiceWorker } from '../../base/service-worker-scope.ts';

/** How models are loaded on web-llm itself. */
export interface OriginalLoad {
  readonly appConfig?: AppConfig | undefined;
  readonly chatOptions?: ChatOptions | ChatOptions[] | undefined;
  readonly logLevel?: LogLevel | undefined;
  readonly logitProcessors?: Map<string, LogitProcessor> | undefined;
  /** Hosts web-llm's handler, so that the page does not compute. */
  readonly worker?: Worker | undefined;
  readonly onProgress?: ((report: InitProgressReport) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Loads models on web-llm itself, whose code is fetched only now. Web-llm takes an abort for a load that went well,
 * and stops only while it fetches: here an aborted load rejects at once, and frees whatever it still becomes.
 *
 * @throws web-llm's own errors (strings, where they come from a worker); the signal's reason
 */
export async function loadOriginal(
  modelIds: readonly string[],
  { appConfig, chatOptions, logLevel, logitProcessors, worker, onProgress, signal }: OriginalLoad,
): Promise<MLCEngineInterface> {
  signal?.throwIfAborted();
  if (isServiceWorker()) {
    throw new AutoglmError(
      'request-invalid',
      'A service worker can load no code later, such as web-llm itself.',
      {
        value: modelIds.join(', '),
        limit: 'an AutoGLM model',
        param: 'modelId',
        cure: 'Import ServiceWorkerMLCEngineHandler from @mlc-ai/web-llm in the service worker.',
      },
    );
  }
  const library = await import('./web-llm-library.ts');
  signal?.throwIfAborted();
  const config = {
    ...(appConfig && { appConfig }),
    ...(logLevel && { logLevel }),
    ...(logitProcessors && { logitProcessorRegistry: logitProcessors }),
    initProgressCallback: (report: InitProgressReport) => {
      if (!signal?.aborted) onProgress?.(report);
    },
  };
  const engine = worker ? new library.WebWorkerMLCEngine(worker, config) : new library.MLCEngine(config);
  const loading = engine.reload([...modelIds], chatOptions);
  if (!signal) {
    await loading;
    return engine;
  }
  const free = (): void => void engine.unload().catch(() => {});
  signal.addEventListener('abort', free, { once: true });
  // What could not be stopped is freed when it is there.
  const settled = (): void => {
    if (signal.aborted) free();
  };
  loading.then(settled, settled);
  try {
    await abortable(loading, signal);
    // Freed, web-llm ends its load as one that went well, which may be heard before the abort is.
    signal.throwIfAborted();
  } finally {
    signal.removeEventListener('abort', free);
  }
  return engine;
}
