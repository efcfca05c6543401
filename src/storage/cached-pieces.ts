import { AutoglmError } from '../base/errors.ts';
import { PIECE_BYTES } from './pieces.ts';
import { digestPiece } from './sha256.ts';
import type { CachedShard, ShardReader } from './shard-cache.ts';

/** One checked piece and the memory to read a later one into. */
interface CheckedPiece {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly isRight: boolean;
}

/**
 * Reads a cached shard piece by piece; each is checked before it is handed out, while the one before is being
 * used. A piece is only valid until the next is asked for.
 *
 * @throws AutoglmError `shard-corrupt` when the cache does not give back what was put in.
 */
export async function* readCheckedPieces(
  cached: CachedShard,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void, undefined> {
  const reader = await opening(cached);
  try {
    let upcoming = readPiece(reader, cached.pieceDigests[0], new ArrayBuffer(PIECE_BYTES));
    let spare = new ArrayBuffer(PIECE_BYTES);
    for (const index of cached.pieceDigests.keys()) {
      const { bytes, isRight } = await upcoming;
      if (!isRight) throw notKept(index);
      upcoming = readPiece(reader, cached.pieceDigests[index + 1], spare);
      upcoming.catch(() => {});
      yield bytes;
      // A short piece can come in memory of its own size.
      spare = bytes.buffer.byteLength === PIECE_BYTES ? bytes.buffer : new ArrayBuffer(PIECE_BYTES);
    }
  } finally {
    await reader.close();
  }
}

/** True when every piece is what was put in. */
export async function isIntact(cached: CachedShard, signal: AbortSignal | undefined): Promise<boolean> {
  try {
    for await (const _ of readCheckedPieces(cached)) signal?.throwIfAborted();
    return true;
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof AutoglmError) return false;
    throw error;
  }
}

async function readPiece(
  reader: ShardReader,
  digest: string | undefined,
  memory: ArrayBuffer,
): Promise<CheckedPiece> {
  if (digest === undefined) return { bytes: new Uint8Array(0), isRight: true };
  const bytes = await reading(() => reader.read(memory));
  return { bytes, isRight: (await digestPiece(bytes)) === digest };
}

function opening(cached: CachedShard): Promise<ShardReader> {
  return reading(() => cached.openReader());
}

/** A Blob or file whose disk copy was removed or changed rejects with one of many exceptions. */
async function reading<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (cause) {
    throw notKept(cause instanceof Error ? cause.message : cause, cause);
  }
}

/** The cache does not hold what was put in. */
export function notKept(value: unknown, cause?: unknown): AutoglmError {
  return new AutoglmError('shard-corrupt', "The browser's storage did not give back what was kept.", {
    value,
    cure: 'Load the model again; only the damaged part is fetched.',
    cause,
  });
}
