import type { AppConfig } from '@mlc-ai/web-llm';
import { createHttpSource } from '../../storage/http-source.ts';
import { createIdbShardCache } from '../../storage/idb-shard-cache.ts';
import { createOpfsShardCache } from '../../storage/opfs-shard-cache.ts';
import type { ShardCache } from '../../storage/shard-cache.ts';
import { StorageManager } from '../../storage/storage-manager.ts';
import { findRecord, isAutoglm, prebuiltAppConfig } from './app-config.ts';

/** The cache of this package's engine that stands for web-llm's. Its Cache API and cross-origin have no counterpart. */
export function toCacheKind({ cacheBackend }: AppConfig): 'indexeddb' | 'opfs' {
  return cacheBackend === 'opfs' ? 'opfs' : 'indexeddb';
}

/** An address of a record as a whole one; relative ones belong to the page. */
export function toAbsoluteUrl(url: string): string {
  const base = typeof document === 'undefined' ? globalThis.location?.href : document.baseURI;
  return base === undefined ? url : new URL(url, base).href;
}

/** Whether a model's files are all on this device. @throws AutoglmError `model-unknown` */
export async function hasModelInCache(
  modelId: string,
  appConfig: AppConfig = prebuiltAppConfig,
): Promise<boolean> {
  const record = findRecord(modelId, appConfig);
  if (!isAutoglm(record)) return (await import('@mlc-ai/web-llm')).hasModelInCache(modelId, appConfig);
  const { id } = createHttpSource(toAbsoluteUrl(record.model));
  const models = await new StorageManager(openCache(appConfig)).listModels();
  return models.some((model) => model.id === id && model.isComplete);
}

/** Deletes all files of a model from this device. @throws AutoglmError `model-unknown` */
export async function deleteModelAllInfoInCache(
  modelId: string,
  appConfig: AppConfig = prebuiltAppConfig,
): Promise<void> {
  const record = findRecord(modelId, appConfig);
  if (!isAutoglm(record)) {
    return (await import('@mlc-ai/web-llm')).deleteModelAllInfoInCache(modelId, appConfig);
  }
  const { id } = createHttpSource(toAbsoluteUrl(record.model));
  await new StorageManager(openCache(appConfig)).deleteModel(id);
}

/** Deletes a model's weights; of an AutoGLM model everything, as its other files are of no use without them. */
export async function deleteModelInCache(
  modelId: string,
  appConfig: AppConfig = prebuiltAppConfig,
): Promise<void> {
  if (isAutoglm(findRecord(modelId, appConfig))) return deleteModelAllInfoInCache(modelId, appConfig);
  return (await import('@mlc-ai/web-llm')).deleteModelInCache(modelId, appConfig);
}

/** Deletes a web-llm model's configuration. AutoGLM models keep theirs with the weights: there it does nothing. */
export async function deleteChatConfigInCache(
  modelId: string,
  appConfig: AppConfig = prebuiltAppConfig,
): Promise<void> {
  if (isAutoglm(findRecord(modelId, appConfig))) return;
  return (await import('@mlc-ai/web-llm')).deleteChatConfigInCache(modelId, appConfig);
}

/** Deletes a web-llm model's compiled library. AutoGLM models have none: there it does nothing. */
export async function deleteModelWasmInCache(
  modelId: string,
  appConfig: AppConfig = prebuiltAppConfig,
): Promise<void> {
  if (isAutoglm(findRecord(modelId, appConfig))) return;
  return (await import('@mlc-ai/web-llm')).deleteModelWasmInCache(modelId, appConfig);
}

function openCache(appConfig: AppConfig): ShardCache {
  return toCacheKind(appConfig) === 'opfs' ? createOpfsShardCache() : createIdbShardCache();
}
