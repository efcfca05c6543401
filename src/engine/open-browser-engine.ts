import { AutoglmError } from '../base/errors.ts';
import { openWebGpuDevice } from '../gpu/webgpu-adapter.ts';
import { decodeWithPlatform } from '../image/decode-platform.ts';
import { createDirectorySource, createFileListSource } from '../storage/directory-source.ts';
import { createHttpSource } from '../storage/http-source.ts';
import { createIdbShardCache } from '../storage/idb-shard-cache.ts';
import { createKeyValueStore } from '../storage/key-value-store.ts';
import { createOpfsShardCache } from '../storage/opfs-shard-cache.ts';
import type { ShardCache } from '../storage/shard-cache.ts';
import type { ShardSource } from '../storage/shard-source.ts';
import type { EngineOptions, ModelLocation } from './engine-options.ts';
import { createAllocationMemory } from './idb-allocation-memory.ts';
import { loadXGrammar } from './grammar/load-xgrammar.ts';
import { LocalEngine } from './local-engine.ts';

/**
 * Opens the browser's GPU and loads a model on it, in the calling page or worker.
 *
 * @throws AutoglmError `webgpu-unavailable`, or what `LocalEngine.load` throws
 */
export async function openBrowserEngine(options: EngineOptions): Promise<LocalEngine> {
  const { model, cache: _, backend: _backend, helperUrl: _helper, grammarLibraryUrl, ...load } = options;
  const device = await openWebGpuDevice();
  return LocalEngine.load({
    source: openSource(model),
    cache: openCache(options),
    device,
    decodeImage: decodeWithPlatform,
    loadXGrammar: () => loadXGrammar(requireLibrary(grammarLibraryUrl)),
    allocations: createAllocationMemory(),
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

function openSource(model: ModelLocation): ShardSource {
  if (typeof model === 'string') return createHttpSource(model);
  return Array.isArray(model)
    ? createFileListSource(model as readonly File[])
    : createDirectorySource(model as FileSystemDirectoryHandle);
}

/** Picked files are on the disk already; a copy of them would only take room. */
function openCache({ model, cache = 'indexeddb' }: EngineOptions): ShardCache | undefined {
  if (typeof model !== 'string' || cache === 'none') return undefined;
  return cache === 'opfs' ? createOpfsShardCache() : createIdbShardCache();
}
