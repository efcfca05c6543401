import { AutoglmError } from '../base/errors.ts';
import { ProgressMeter, type OnStorageProgress } from './load-progress.ts';
import { parseManifest, type Manifest } from './manifest.ts';
import { createSha256, type CreateSha256 } from './sha256.ts';
import type { ReadOptions, ShardSource } from './shard-source.ts';
import type { OnTensorBytes } from './tensor-splitter.ts';
import { streamUncached } from './uncached-stream.ts';

/** How to open a model folder. */
export interface OpenModelOptions extends ReadOptions {
  /** False skips the hashes of a source that is trusted, such as a local disk; true. */
  readonly verify?: boolean;
  /** Replaces the portable sha256; Node passes its own, which is six times faster. */
  readonly createSha256?: CreateSha256;
}

/** How to stream the weights of an opened model. */
export interface StreamTensorsOptions extends ReadOptions {
  readonly onProgress?: OnStorageProgress | undefined;
  /** Takes the weights, in the order of the manifest; the next bytes wait for its promise. */
  readonly onTensorBytes: OnTensorBytes;
}

/** An opened model folder. */
export interface ModelFiles {
  /** For people: the URL or the folder's name. */
  readonly label: string;
  readonly manifest: Manifest;
  readText(path: string, options?: ReadOptions): Promise<string>;
  readOptionalText(path: string, options?: ReadOptions): Promise<string | undefined>;
  /**
   * Streams every tensor in pieces of at most `PIECE_BYTES` (plus three bytes of a cut word). No tensor may be
   * used before the promise resolves; when it rejects, everything delivered is void.
   */
  streamTensors(options: StreamTensorsOptions): Promise<void>;
}

/** Names of the manifest, ours and the one that older MLC folders use. */
const MANIFEST_PATHS = ['tensor-cache.json', 'ndarray-cache.json'] as const;

/**
 * Opens a model folder: reads and checks its manifest; no weights yet.
 *
 * @throws AutoglmError `file-missing` or `manifest-invalid` when it is no model folder, or a code of
 *   `ShardSource.readText`.
 */
export async function openModel(source: ShardSource, options: OpenModelOptions = {}): Promise<ModelFiles> {
  const manifest = parseManifest(await readManifest(source, options));
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
  };
}

async function readManifest(source: ShardSource, { signal }: ReadOptions): Promise<string> {
  for (const path of MANIFEST_PATHS) {
    const text = await source.readOptionalText(path, { signal });
    if (text !== undefined) return text;
  }
  throw new AutoglmError(
    'file-missing',
    `${source.label} is not a model folder: it has no ${MANIFEST_PATHS[0]}.`,
    {
      value: source.label,
      limit: MANIFEST_PATHS[0],
      cure: 'Pass a folder that "autoglm convert" wrote.',
    },
  );
}
