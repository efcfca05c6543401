import { AutoglmError, toError, type SerializedError } from '../../src/base/errors.ts';
import { createHttpSource } from '../../src/storage/http-source.ts';
import { createIdbShardCache } from '../../src/storage/idb-shard-cache.ts';
import type { StorageProgress } from '../../src/storage/load-progress.ts';
import { openModel } from '../../src/storage/model-loader.ts';
import { createOpfsShardCache } from '../../src/storage/opfs-shard-cache.ts';
import type { ShardCache } from '../../src/storage/shard-cache.ts';
import type { ShardSource } from '../../src/storage/shard-source.ts';

/** What a test asks the page to load. */
export interface LoadRequest {
  readonly url: string;
  readonly cache: 'indexeddb' | 'opfs' | 'none';
  readonly stallTimeoutMs?: number;
  /** `auto` leaves it out; false unless told. */
  readonly refresh?: boolean | 'auto';
  /** False only counts the bytes, for models that are too large to put together. */
  readonly isHashed?: boolean;
}

/** What came of it. */
export interface LoadResult {
  /** sha256 of each tensor as the consumer saw it; absent when the load failed. */
  readonly tensorHashes?: Record<string, string>;
  readonly error?: SerializedError;
  readonly progress: readonly StorageProgress[];
  readonly deliveredBytes: number;
  readonly milliseconds: number;
}

/** The caches by name, with names that all tabs of a test share. */
export function createCache(kind: LoadRequest['cache']): ShardCache | undefined {
  if (kind === 'none') return undefined;
  return kind === 'opfs' ? createOpfsShardCache('test-opfs') : createIdbShardCache('test-idb');
}

/** Loads a model over HTTP, with the waits of a test. */
export async function loadModel(
  request: LoadRequest,
  onProgress?: (progress: StorageProgress) => void,
): Promise<LoadResult> {
  const source = createHttpSource(request.url, {
    retry: { baseDelayMs: 20, maxDelayMs: 100, maxFailures: 4 },
    stallTimeoutMs: request.stallTimeoutMs ?? 5000,
  });
  return loadFrom(source, request, onProgress);
}

/** Loads a model as an engine does, but into a hash for each tensor. */
export async function loadFrom(
  source: ShardSource,
  request: Omit<LoadRequest, 'url'>,
  onProgress: (progress: StorageProgress) => void = () => {},
): Promise<LoadResult> {
  const progress: StorageProgress[] = [];
  const startMs = performance.now();
  let deliveredBytes = 0;
  const tensors = new Map<string, Uint8Array<ArrayBuffer>>();
  try {
    const model = await openModel(source, {
      cache: createCache(request.cache),
      refresh: request.refresh === 'auto' ? undefined : (request.refresh ?? false),
    });
    JSON.parse(await model.readText('config.json'));
    await model.streamTensors({
      onProgress: (report) => {
        progress.push(report);
        onProgress(report);
      },
      onTensorBytes: async (tensor, byteOffset, bytes) => {
        deliveredBytes += bytes.byteLength;
        if (request.isHashed === false) return;
        const target = tensors.get(tensor.name) ?? new Uint8Array(tensor.byteLength);
        tensors.set(tensor.name, target);
        target.set(bytes, byteOffset);
      },
    });
    const tensorHashes: Record<string, string> = {};
    for (const [name, bytes] of tensors) tensorHashes[name] = await hash(bytes);
    return { tensorHashes, progress, deliveredBytes, milliseconds: performance.now() - startMs };
  } catch (thrown) {
    const error = toError(thrown);
    const plain =
      error instanceof AutoglmError
        ? error.toJSON()
        : ({ code: 'internal', message: `${error.name}: ${error.message}` } as const);
    return { error: plain, progress, deliveredBytes, milliseconds: performance.now() - startMs };
  }
}

async function hash(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return [...digest].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}
