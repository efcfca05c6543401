import { AutoglmError } from '../base/errors.ts';
import type { HelperHealth, HelperModelFacts, ModelOfferAnswer } from '../protocol/helper-http.ts';
import { contentKey } from '../storage/shard-key.ts';
import { MODEL_TEXT_PATHS } from '../storage/cached-texts.ts';
import { readCheckedPieces } from '../storage/cached-pieces.ts';
import type { ShardEntry } from '../storage/manifest.ts';
import { openModel } from '../storage/model-loader.ts';
import type { ShardCache } from '../storage/shard-cache.ts';
import type { ShardSource } from '../storage/shard-source.ts';
import type { EngineOptions } from './engine-options.ts';
import type { HttpConnection } from './http-engine.ts';
import { openModelSource, openShardCache } from './model-source.ts';

/**
 * Hands the page's model over to a helper that has it not: the texts, then the shards that are missing, from the
 * page's own storage where they are kept (so that no network is needed), else from where the page has the model.
 * The helper checks every hash. At most a shard is in memory, and the browser may keep that on disk.
 *
 * @throws AutoglmError of the source or the storage, or what the helper says
 */
export async function handOverModel(
  connection: HttpConnection,
  options: EngineOptions,
): Promise<HelperModelFacts> {
  const { model, signal, onProgress } = options;
  const source = openModelSource(model);
  const cache = openShardCache(options);
  const opened = await openModel(source, { cache, ...(signal && { signal }) });
  const files: Record<string, string> = {};
  for (const path of MODEL_TEXT_PATHS) {
    const text = await opened.readOptionalText(path, { signal });
    if (text !== undefined) files[path] = text;
  }
  const name = source.label.replace(/\/+$/, '').split('/').at(-1) ?? '';
  const answer = await connection.request('/v1/autoglm/models', { name, files }, signal);
  const { id, missing } = (await connection.readJson(answer, signal)) as ModelOfferAnswer;
  const shards = opened.manifest.shards.filter(({ dataPath }) => missing.includes(dataPath));
  const totalBytes = shards.reduce((total, { byteLength }) => total + byteLength, 0);
  let loadedBytes = 0;
  const startedAt = performance.now();
  for (const shard of shards) {
    const seconds = (performance.now() - startedAt) / 1000;
    onProgress?.({
      phase: 'uploading',
      loadedBytes,
      totalBytes,
      bytesPerSecond: loadedBytes / (seconds || 1),
    });
    const blob = await readShard(source, cache, shard, signal);
    await connection.put(`/v1/autoglm/models/${id}/${shard.dataPath}`, blob, signal);
    loadedBytes += shard.byteLength;
  }
  onProgress?.({ phase: 'compiling', loadedBytes: totalBytes, totalBytes, bytesPerSecond: 0 });
  const loaded = await connection.request(`/v1/autoglm/models/${id}/load`, {}, signal);
  const { model: facts } = (await connection.readJson(loaded, signal)) as HelperHealth;
  if (facts !== undefined) return facts;
  throw new AutoglmError('internal', 'The helper did not load the model.', {
    value: name,
    cure: 'See its log.',
  });
}

async function readShard(
  source: ShardSource,
  cache: ShardCache | undefined,
  shard: ShardEntry,
  signal: AbortSignal | undefined,
): Promise<Blob> {
  const { dataPath, byteLength } = shard;
  const key = await contentKey(shard);
  const cached = key === undefined ? undefined : await cache?.get(key);
  const parts: Blob[] = [];
  if (cached === undefined) {
    const stream = await source.openFile(dataPath, { byteLength, signal });
    return new Response(stream).blob();
  }
  for await (const piece of readCheckedPieces(cached)) {
    signal?.throwIfAborted();
    // A piece is only valid until the next one; a Blob copies it, out of this process's memory where it is large.
    parts.push(new Blob([piece]));
  }
  return new Blob(parts);
}
