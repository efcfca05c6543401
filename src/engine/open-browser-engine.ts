import { AutoglmError } from '../base/errors.ts';
import { openWebGpuDevice } from '../gpu/webgpu-adapter.ts';
import { decodeWithPlatform } from '../image/decode-platform.ts';
import { createKeyValueStore } from '../storage/key-value-store.ts';
import { rememberIn } from './adapter-memory.ts';
import type { EngineOptions } from './engine-options.ts';
import { loadXGrammar } from './grammar/load-xgrammar.ts';
import { LocalEngine } from './local-engine.ts';
import { openModelSource, openShardCache } from './model-source.ts';

/**
 * Opens the browser's GPU and loads a model on it, in the calling page or worker.
 *
 * @throws AutoglmError `webgpu-unavailable`, or what `LocalEngine.load` throws
 */
export async function openBrowserEngine(options: EngineOptions): Promise<LocalEngine> {
  const { model, cache: _, backend: _backend, helperUrl: _helper, grammarLibraryUrl, ...load } = options;
  const device = await openWebGpuDevice();
  return LocalEngine.load({
    source: openModelSource(model),
    cache: openShardCache(options),
    device,
    decodeImage: decodeWithPlatform,
    loadXGrammar: () => loadXGrammar(requireLibrary(grammarLibraryUrl)),
    allocations: rememberIn(createKeyValueStore('autoglm-adapters')),
    tilings: rememberIn(createKeyValueStore('autoglm-tilings')),
    sessionStore: createKeyValueStore('autoglm-sessions'),
    ...load,
  });
}

function requireLibrary(url: string | undefined): string {
  if (url !== undefined) return url;
  throw new AutoglmError('request-invalid', 'Structured output needs the grammar library.', {
    cure: 'Give grammarLibraryUrl, or use createEngine(), which knows it.',
  });
}
