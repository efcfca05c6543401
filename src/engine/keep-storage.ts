import { requestPersistence } from '../storage/storage-quota.ts';
import type { EngineOptions } from './engine-options.ts';

/** Below this the browser is not asked: a few seconds of download are not worth a question to the user. */
const PRECIOUS_BYTES = 256 * 2 ** 20;

/**
 * The same options, with which a load of a large model that is kept asks the browser, once, not to evict it. Only a
 * page can ask. The answer is not waited for: a refused model is kept as long as there is room.
 */
export function askingToKeep(
  options: EngineOptions,
  request: () => Promise<unknown> = requestPersistence,
): EngineOptions {
  const { model, cache, onProgress } = options;
  if (typeof model !== 'string' || cache === 'none') return options;
  let isAsked = false;
  return {
    ...options,
    onProgress: (progress) => {
      if (!isAsked && progress.totalBytes >= PRECIOUS_BYTES) {
        isAsked = true;
        request().catch(() => {});
      }
      onProgress?.(progress);
    },
  };
}
