import { AutoglmError } from '../base/errors.ts';
import { PieceMemory } from './pieces.ts';
import { digestPiece } from './sha256.ts';
import type { CachedShard, ShardReader } from './shard-cache.ts';

/** One piece and whether it is what was put in. */
interface CheckedPiece {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly isRight: boolean;
}

/** Pieces that are read and hashed ahead of the consumer: the browser hashes on several threads. */
const PIECES_AHEAD = 3;

/**
 * Reads a cached shard piece by piece; each is checked before it is handed out, while those before are being
 * used. A piece is only valid until the next is asked for.
 *
 * @throws AutoglmError `shard-corrupt` when the cache does not give back what was put in.
 */
export async function* readCheckedPieces(
  cached: CachedShard,
  memory: PieceMemory = new PieceMemory(),
): AsyncGenerator<Uint8Array<ArrayBuffer>, void, undefined> {
  const reader = await reading(() => cached.openReader());
  const ahead = new ReadAhead(reader, cached.pieceDigests);
  try {
    for (let count = 0; count < PIECES_AHEAD; count += 1) ahead.begin(memory);
    for (const index of cached.pieceDigests.keys()) {
      const { bytes, isRight } = await ahead.take();
      if (!isRight) throw notKept(index);
      yield bytes;
      memory.give(bytes);
      ahead.begin(memory);
    }
  } finally {
    await ahead.whenRead;
    await reader.close();
  }
}

/** Reads one piece after the other and hashes several at a time. */
class ReadAhead {
  readonly #reader: ShardReader;
  readonly #digests: Iterator<string>;
  readonly #pieces: Promise<CheckedPiece>[] = [];
  /** The reader has delivered all that was asked for; never rejects. */
  whenRead: Promise<void> = Promise.resolve();

  constructor(reader: ShardReader, pieceDigests: readonly string[]) {
    this.#reader = reader;
    this.#digests = pieceDigests[Symbol.iterator]();
  }

  /** Starts on the next piece, if there is one. */
  begin(memory: PieceMemory): void {
    const next = this.#digests.next();
    if (next.done) return;
    const read = this.whenRead.then(() => reading(() => this.#reader.read(memory.take().buffer)));
    const checked = read.then(async (bytes) => ({
      bytes,
      isRight: (await digestPiece(bytes)) === next.value,
    }));
    // Reported when its turn comes, or not at all when the consumer left before.
    checked.catch(() => {});
    this.#pieces.push(checked);
    this.whenRead = read.then(
      () => {},
      () => {},
    );
  }

  take(): Promise<CheckedPiece> {
    return this.#pieces.shift() as Promise<CheckedPiece>;
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
