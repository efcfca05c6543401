import { createDirectorySource, createFileListSource } from '../storage/directory-source.ts';
import { createHttpSource } from '../storage/http-source.ts';
import { createIdbShardCache } from '../storage/idb-shard-cache.ts';
import { createOpfsShardCache } from '../storage/opfs-shard-cache.ts';
import type { ShardCache } from '../storage/shard-cache.ts';
import type { ShardSource } from '../storage/shard-source.ts';
import type { EngineOptions, ModelLocation } from './engine-options.ts';

/** Where a page's model is read from. */
export function openModelSource(model: ModelLocation): ShardSource {
  if (typeof model === 'string') return createHttpSource(model);
  return Array.isArray(model)
    ? createFileListSource(model as readonly File[])
    : createDirectorySource(model as FileSystemDirectoryHandle);
}

/** Picked files are on the disk already; a copy of them would only take room. */
export function openShardCache({ model, cache = 'indexeddb' }: EngineOptions): ShardCache | undefined {
  if (typeof model !== 'string' || cache === 'none') return undefined;
  return cache === 'opfs' ? createOpfsShardCache() : createIdbShardCache();
}
