import { collectDroppedFiles } from '../storage/dropped-files.ts';
import { createIdbShardCache } from '../storage/idb-shard-cache.ts';
import { createOpfsShardCache } from '../storage/opfs-shard-cache.ts';
import { StorageManager } from '../storage/storage-manager.ts';

export type { StoredModel } from '../storage/storage-manager.ts';
export type { StorageUsage } from '../storage/storage-quota.ts';
export type { StorageManager } from '../storage/storage-manager.ts';
export { collectDroppedFiles };

/** Opens the models that this origin keeps, where `EngineOptions.cache` says. */
export function openModelStorage(cache: 'indexeddb' | 'opfs' = 'indexeddb'): StorageManager {
  return new StorageManager(cache === 'opfs' ? createOpfsShardCache() : createIdbShardCache());
}
