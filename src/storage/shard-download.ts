import { isAutoglmError } from '../base/errors.ts';
import type { ShardEntry } from './manifest.ts';
import { PIECE_BYTES, toPieces, type PieceMemory } from './pieces.ts';
import { digestPiece, type CreateSha256 } from './sha256.ts';
import type { PartialShard, ShardCache } from './shard-cache.ts';
import { ShardCheck } from './shard-check.ts';
import type { ShardSource } from './shard-source.ts';

/** What `downloadShard` needs. */
export interface DownloadOptions {
  readonly signal?: AbortSignal | undefined;
  readonly createSha256: CreateSha256;
  readonly memory: PieceMemory;
  /** Bytes of the shard that are there by now; can fall when they turn out to be wrong. */
  readonly onLoadedBytes: (loadedBytes: number) => void;
}

/**
 * Fetches one shard into the cache, from where an earlier attempt stopped, and keeps it only if its hash is
 * right; a wrong one is thrown away and fetched once more from its start. Hold the shard's lock.
 */
export async function downloadShard(
  source: ShardSource,
  shard: ShardEntry,
  key: string,
  cache: ShardCache,
  options: DownloadOptions,
): Promise<void> {
  const partial = await cache.openPartial(key);
  try {
    try {
      await fetchRest(source, shard, partial, options);
    } catch (error) {
      // Also a file that changed, or kept bytes that went bad: both show as a wrong hash.
      if (!isAutoglmError(error, 'shard-corrupt')) throw error;
      // Pieces that were judged one by one are right.
      if (!shard.pieceDigests) await discard(partial, options);
      await fetchRest(source, shard, partial, options);
    }
    await partial.commit();
  } catch (error) {
    if (isAutoglmError(error, 'shard-corrupt') && !shard.pieceDigests) await partial.discard();
    // Best effort: the error that ended the download is the one to report.
    else await partial.close().catch(() => {});
    throw error;
  }
}

async function discard(partial: PartialShard, { onLoadedBytes }: DownloadOptions): Promise<void> {
  await partial.discard();
  onLoadedBytes(0);
}

async function fetchRest(
  source: ShardSource,
  shard: ShardEntry,
  partial: PartialShard,
  options: DownloadOptions,
): Promise<void> {
  const { signal, createSha256, memory, onLoadedBytes } = options;
  const { dataPath, byteLength } = shard;
  const check = await ShardCheck.create(shard, createSha256);
  if (partial.byteLength > 0 && !(await recheckKept(partial, shard, check, options))) {
    await partial.discard();
    return fetchRest(source, shard, partial, options);
  }
  onLoadedBytes(partial.byteLength);
  if (partial.byteLength < byteLength) {
    const stream = await source.openFile(dataPath, { offset: partial.byteLength, byteLength, signal });
    for await (const piece of toPieces(stream, memory)) {
      signal?.throwIfAborted();
      await partial.append(piece, await check.judge(piece));
      onLoadedBytes(partial.byteLength);
    }
  }
  await check.finish(source.label);
}

/** Feeds the kept bytes to the hash again; false when they are not what was written. */
async function recheckKept(
  partial: PartialShard,
  shard: ShardEntry,
  check: ShardCheck,
  { signal, memory }: DownloadOptions,
): Promise<boolean> {
  const isPlausible =
    partial.byteLength === shard.byteLength ||
    (partial.byteLength < shard.byteLength && partial.byteLength % PIECE_BYTES === 0);
  if (!isPlausible) return false;
  const { pieceDigests } = shard;
  if (pieceDigests && partial.pieceDigests.some((kept, index) => kept !== pieceDigests[index])) return false;
  const reader = await partial.openReader();
  try {
    for (const expected of partial.pieceDigests) {
      signal?.throwIfAborted();
      const piece = await reader.read(memory.take().buffer);
      if ((await digestPiece(piece)) !== expected) return false;
      check.update(piece);
      memory.give(piece);
    }
    return true;
  } catch {
    // A file of the profile that went missing shows as one of many exceptions.
    signal?.throwIfAborted();
    return false;
  } finally {
    await reader.close();
  }
}
