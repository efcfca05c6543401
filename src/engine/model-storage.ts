import { createDirectorySource, createFileListSource } from '../storage/directory-source.ts';
import { createHttpSource } from '../storage/http-source.ts';
import { createIdbShardCache } from '../storage/idb-shard-cache.ts';
import { createOpfsShardCache } from '../storage/opfs-shard-cache.ts';
import type { ShardSource } from '../storage/shard-source.ts';
import { StorageManager } from '../storage/storage-manager.ts';
import type { ModelLocation } from './engine-options.ts';

export type { StoredModel } from '../storage/storage-manager.ts';
export type { StorageUsage } from '../storage/storage-quota.ts';
export type { StorageManager } from '../storage/storage-manager.ts';

/** Opens the models that this origin keeps, where `EngineOptions.cache` says. */
export function openModelStorage(cache: 'indexeddb' | 'opfs' = 'indexeddb'): StorageManager {
  return new StorageManager(cache === 'opfs' ? createOpfsShardCache() : createIdbShardCache());
}

/** How a model of this address is called among the kept ones. */
export function toKeptId(url: string): string {
  return createHttpSource(url).id;
}

/** A folder or files that the user chose, to be added to the kept models. */
export function openModelFolder(chosen: Exclude<ModelLocation, string>): ShardSource {
  return Array.isArray(chosen)
    ? createFileListSource(chosen as readonly File[])
    : createDirectorySource(chosen as FileSystemDirectoryHandle);
}
