import { bytesToHex } from '@noble/hashes/utils.js';
import { AutoglmError } from '../base/errors.ts';
import { createCachedTexts, MODEL_TEXT_PATHS, type TextReader } from './cached-texts.ts';
import { streamCached } from './cached-stream.ts';
import { ProgressMeter, type OnStorageProgress } from './load-progress.ts';
import { parseManifest, type Manifest, type ShardEntry } from './manifest.ts';
import { ModelCatalog, type ModelRecord } from './model-catalog.ts';
import { createSha256, type CreateSha256 } from './sha256.ts';
import type { ShardCache } from './shard-cache.ts';
import { quotaExceeded, type KeyedShard } from './shard-fetcher.ts';
import type { ReadOptions, ShardSource } from './shard-source.ts';
import { probeQuota } from './storage-quota.ts';
import type { OnTensorBytes } from './tensor-splitter.ts';
import { streamUncached } from './uncached-stream.ts';

/** How to open a model folder. */
export interface OpenModelOptions extends ReadOptions {
  /** Keeps the model, so that the next load needs no network. Absent: nothing is kept. */
  readonly cache?: ShardCache | undefined;
  /**
   * True asks the source for the manifest and the json files even when the cache holds the whole model; only
   * shards that differ are fetched then. False.
   */
  readonly refresh?: boolean | undefined;
  /** False skips the hashes of a source that is trusted, such as a local disk; true. Ignored with a cache. */
  readonly verify?: boolean | undefined;
  /** Replaces the portable sha256; Node passes its own, which is six times faster. */
  readonly createSha256?: CreateSha256 | undefined;
}

/** How to bring the weights of an opened model into the cache. */
export interface DownloadModelOptions extends ReadOptions {
  readonly onProgress?: OnStorageProgress | undefined;
}

/** How to stream the weights of an opened model. */
export interface StreamTensorsOptions extends DownloadModelOptions {
  /** Takes the weights, in the order of the manifest; the next bytes wait for its promise. */
  readonly onTensorBytes: OnTensorBytes;
}

/** An opened model folder. */
export interface ModelFiles extends TextReader {
  /** For people: the URL or the folder's name. */
  readonly label: string;
  readonly manifest: Manifest;
  /**
   * Streams every tensor in pieces of at most `PIECE_BYTES` (plus three bytes of a cut word). No tensor may be
   * used before the promise resolves; when it rejects, everything delivered is void.
   *
   * @throws AutoglmError of the source, `shard-corrupt`, `quota-exceeded` or `storage-unavailable`; a later
   *   call goes on from what the cache kept.
   */
  streamTensors(options: StreamTensorsOptions): Promise<void>;
  /** Brings the whole model into the cache without a consumer. @throws as `streamTensors`. */
  download(options?: DownloadModelOptions): Promise<void>;
}

/** Names of the manifest, ours and the one that older MLC folders use. */
const MANIFEST_PATHS = ['tensor-cache.json', 'ndarray-cache.json'] as const;
/** Smaller downloads are not worth asking beforehand whether they fit. */
const PROBE_BYTES = 64 * 1024 * 1024;

/**
 * Opens a model folder: reads and checks its manifest; no weights yet.
 *
 * @throws AutoglmError `file-missing` or `manifest-invalid` when it is no model folder, or a code of
 *   `ShardSource.readText`.
 */
export async function openModel(source: ShardSource, options: OpenModelOptions = {}): Promise<ModelFiles> {
  const { cache } = options;
  return cache === undefined ? openUncached(source, options) : openCached(source, cache, options);
}

async function openUncached(source: ShardSource, options: OpenModelOptions): Promise<ModelFiles> {
  const manifest = parseManifest(await readManifest(source, source.label, options));
  const hash = options.verify === false ? undefined : (options.createSha256 ?? createSha256);
  return {
    label: source.label,
    manifest,
    readText: (path, readOptions) => source.readText(path, readOptions),
    readOptionalText: (path, readOptions) => source.readOptionalText(path, readOptions),
    streamTensors: ({ signal, onProgress, onTensorBytes }) =>
      streamUncached(source, manifest.shards, {
        signal,
        meter: new ProgressMeter('uploading', manifest.byteLength, onProgress),
        onTensorBytes,
        createSha256: hash,
      }),
    download: async () => {
      throw new AutoglmError('usage', 'A model that was opened without a cache cannot be downloaded.', {
        cure: 'Pass a cache to openModel.',
      });
    },
  };
}

async function openCached(
  source: ShardSource,
  cache: ShardCache,
  options: OpenModelOptions,
): Promise<ModelFiles> {
  const catalog = new ModelCatalog(cache.store);
  const record = await catalog.get(source.id);
  let isTrusted = record?.isComplete === true && source.isRemote && options.refresh !== true;
  const texts = createCachedTexts(source, catalog, () => isTrusted);
  const manifest = parseManifest(await readManifest(texts, source.label, options));
  const shards = await keyShards(source, manifest.shards);
  const load = async (
    { signal, onProgress }: DownloadModelOptions,
    onTensorBytes: OnTensorBytes | undefined,
  ): Promise<void> => {
    // Before the first shard, so that no shard under way looks like an orphan.
    if (!isTrusted) await catalog.put(toRecord(source, shards, false));
    await checkRoom(cache, shards);
    const hash = options.createSha256 ?? createSha256;
    await streamCached(source, cache, shards, { signal, onProgress, createSha256: hash, onTensorBytes });
    if (!isTrusted) for (const path of MODEL_TEXT_PATHS) await texts.readOptionalText(path, { signal });
    await catalog.put(toRecord(source, shards, true));
    isTrusted = source.isRemote;
  };
  return {
    label: source.label,
    manifest,
    ...texts,
    streamTensors: (streamOptions) => load(streamOptions, streamOptions.onTensorBytes),
    download: (downloadOptions = {}) => load(downloadOptions, undefined),
  };
}

async function readManifest(reader: TextReader, label: string, { signal }: ReadOptions): Promise<string> {
  for (const path of MANIFEST_PATHS) {
    const text = await reader.readOptionalText(path, { signal });
    if (text !== undefined) return text;
  }
  throw new AutoglmError('file-missing', `${label} is not a model folder: it has no ${MANIFEST_PATHS[0]}.`, {
    value: label,
    limit: MANIFEST_PATHS[0],
    cure: 'Pass a folder that "autoglm convert" wrote.',
  });
}

/** Fails before the download instead of hours into it. */
async function checkRoom(cache: ShardCache, shards: readonly KeyedShard[]): Promise<void> {
  const kept = await Promise.all(shards.map(({ key }) => cache.keptBytes(key)));
  const keptBytes = kept.reduce((total, byteLength) => total + byteLength, 0);
  const neededBytes = shards.reduce((total, { shard }) => total + shard.byteLength, 0) - keptBytes;
  if (neededBytes < PROBE_BYTES) return;
  if ((await probeQuota(neededBytes)) === false) throw quotaExceeded(neededBytes, keptBytes);
}

async function keyShards(source: ShardSource, shards: readonly ShardEntry[]): Promise<KeyedShard[]> {
  return Promise.all(
    shards.map(async (shard) => ({ shard, key: shard.sha256 ?? (await keyByAddress(source, shard)) })),
  );
}

/** Folders that MLC's own tools wrote list no sha256: such shards are known by where they came from. */
async function keyByAddress(source: ShardSource, { dataPath, byteLength }: ShardEntry): Promise<string> {
  const address = new TextEncoder().encode(`${source.id}\n${dataPath}\n${byteLength}`);
  return `unhashed-${bytesToHex(new Uint8Array(await crypto.subtle.digest('SHA-256', address)))}`;
}

function toRecord(source: ShardSource, shards: readonly KeyedShard[], isComplete: boolean): ModelRecord {
  return {
    id: source.id,
    label: source.label,
    shards: shards.map(({ key, shard }) => ({ key, byteLength: shard.byteLength })),
    byteLength: shards.reduce((total, { shard }) => total + shard.byteLength, 0),
    isComplete,
    lastUsed: Date.now(),
  };
}
