import { AutoglmError } from '../base/errors.ts';
import { createCachedTexts, MODEL_TEXT_PATHS, type TextReader } from './cached-texts.ts';
import { streamCached } from './cached-stream.ts';
import { ProgressMeter, type OnStorageProgress } from './load-progress.ts';
import { parseManifest, type Manifest, type ShardEntry } from './manifest.ts';
import { ModelCatalog, type ModelRecord } from './model-catalog.ts';
import { createSha256, digestPiece, type CreateSha256 } from './sha256.ts';
import type { ShardCache } from './shard-cache.ts';
import { quotaExceeded, type KeyedShard } from './shard-fetcher.ts';
import { contentKey } from './shard-key.ts';
import type { ReadOptions, ShardSource } from './shard-source.ts';
import { probeQuota } from './storage-quota.ts';
import type { OnTensorBytes } from './tensor-splitter.ts';
import { streamUncached } from './uncached-stream.ts';

/** How to open a model folder. */
export interface OpenModelOptions extends ReadOptions {
  /** Keeps the model, so that the next load needs no network. Absent: nothing is kept. */
  readonly cache?: ShardCache | undefined;
  /**
   * Whether a model that the cache holds whole is asked for at its source. Left out: for its manifest, once, where
   * there is a network; if that has changed, for the json files and the shards that differ. True asks for the json
   * files in any case; false never asks.
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
/** A slow network must not hold up what could start at once. */
const REVALIDATION_TIMEOUT_MS = 3000;
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
    ...onlyListed(source, manifest),
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
  if (isTrusted && options.refresh === undefined) {
    isTrusted = !(await hasChanged(source, catalog, options));
  }
  const cachedTexts = createCachedTexts(source, catalog, () => isTrusted);
  const manifest = parseManifest(await readManifest(cachedTexts, source.label, options));
  const texts = onlyListed(cachedTexts, manifest);
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

/** Asks for no file that the folder says it has not: a server's log and the page's console stay clean. */
function onlyListed(
  { readText, readOptionalText }: TextReader,
  { files }: Pick<Manifest, 'files'>,
): TextReader {
  if (files === undefined) return { readText, readOptionalText };
  return {
    readText,
    readOptionalText: async (path, options) =>
      files.has(path) || isManifest(path) ? readOptionalText(path, options) : undefined,
  };
}

function isManifest(path: string): boolean {
  return MANIFEST_PATHS.some((name) => name === path);
}

/** Whether the source has another manifest than the cache; false where it cannot be asked now. */
async function hasChanged(
  source: ShardSource,
  catalog: ModelCatalog,
  { signal }: ReadOptions,
): Promise<boolean> {
  if (globalThis.navigator?.onLine === false) return false;
  const patience = AbortSignal.timeout(REVALIDATION_TIMEOUT_MS);
  for (const path of MANIFEST_PATHS) {
    const kept = await catalog.getText(source.id, path);
    if (kept?.text === undefined) continue;
    try {
      const both = signal ? AbortSignal.any([signal, patience]) : patience;
      // The browser asks with the ETag or the date that its own cache has, so that mostly no body comes.
      const text = await source.readOptionalText(path, { signal: both, isOptional: true });
      return text !== undefined && text !== kept.text && isManifestText(text);
    } catch {
      signal?.throwIfAborted();
      return false;
    }
  }
  return false;
}

/** What a captive portal or a broken server sends is no new revision. */
function isManifestText(text: string): boolean {
  try {
    parseManifest(text);
    return true;
  } catch {
    return false;
  }
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
    shards.map(async (shard) => ({
      shard,
      key: (await contentKey(shard)) ?? (await keyByAddress(source, shard)),
    })),
  );
}

/** Folders that MLC's own tools wrote list no sha256: such shards are known by where they came from. */
async function keyByAddress(source: ShardSource, { dataPath, byteLength }: ShardEntry): Promise<string> {
  const address = new TextEncoder().encode(`${source.id}\n${dataPath}\n${byteLength}`);
  return `unhashed-${await digestPiece(address)}`;
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
