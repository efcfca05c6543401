import { isAutoglmError } from '../base/errors.ts';
import type { ProgressMeter } from './load-progress.ts';
import type { ShardEntry } from './manifest.ts';
import { PieceMemory, readPiecesAhead, toPieces } from './pieces.ts';
import type { CreateSha256 } from './sha256.ts';
import { ShardCheck } from './shard-check.ts';
import type { ShardSource } from './shard-source.ts';
import { TensorSplitter, type OnTensorBytes } from './tensor-splitter.ts';

/** Shards that are opened before they are due, so that their connections and first bytes are there in time. */
const SHARDS_AHEAD = 2;
const PIECES_AHEAD = 3;

type Pieces = AsyncIterable<Uint8Array<ArrayBuffer>>;

/** What `streamUncached` needs. */
export interface UncachedStreamOptions {
  readonly signal: AbortSignal | undefined;
  readonly meter: ProgressMeter;
  readonly onTensorBytes: OnTensorBytes;
  /** Absent: hashes are not checked. */
  readonly createSha256: CreateSha256 | undefined;
}

/**
 * Streams all shards straight from their source. Nothing is kept, so a hash can only be judged at the end of
 * its shard: the consumer must not use a tensor before this resolves, and must discard everything on an error.
 * A shard that arrives damaged is delivered once more.
 */
export async function streamUncached(
  source: ShardSource,
  shards: readonly ShardEntry[],
  options: UncachedStreamOptions,
): Promise<void> {
  const queue = new ReadAhead(source, shards, options.signal);
  try {
    for (const [index, shard] of shards.entries()) {
      try {
        await streamShard(await queue.take(index), source.label, shard, options);
      } catch (error) {
        if (!isAutoglmError(error, 'shard-corrupt') || !source.isRemote) throw error;
        const again = toPieces(await openShard(source, shard, options.signal));
        await streamShard(again, source.label, shard, options);
      }
    }
  } finally {
    queue.cancel();
  }
}

async function streamShard(
  pieces: Pieces,
  label: string,
  shard: ShardEntry,
  { meter, onTensorBytes, createSha256, signal }: UncachedStreamOptions,
): Promise<void> {
  const check = await ShardCheck.create(shard, createSha256);
  const splitter = new TensorSplitter(shard, onTensorBytes);
  let deliveredBytes = 0;
  try {
    for await (const piece of pieces) {
      signal?.throwIfAborted();
      check.update(piece);
      await splitter.push(piece);
      deliveredBytes += piece.byteLength;
      meter.add(piece.byteLength);
    }
    await check.finish(label);
  } catch (error) {
    meter.add(-deliveredBytes);
    throw error;
  }
}

function openShard(
  source: ShardSource,
  { dataPath, byteLength }: ShardEntry,
  signal: AbortSignal | undefined,
): Promise<ReadableStream<Uint8Array<ArrayBuffer>>> {
  return source.openFile(dataPath, { byteLength, signal });
}

/** Opens a few shards before their turn and buffers a little of each. */
class ReadAhead {
  readonly #source: ShardSource;
  readonly #shards: readonly ShardEntry[];
  readonly #controller = new AbortController();
  readonly #signal: AbortSignal;
  readonly #memory = new PieceMemory();
  readonly #opened: Promise<Pieces>[] = [];

  constructor(source: ShardSource, shards: readonly ShardEntry[], signal: AbortSignal | undefined) {
    this.#source = source;
    this.#shards = shards;
    this.#signal = signal ? AbortSignal.any([signal, this.#controller.signal]) : this.#controller.signal;
  }

  take(index: number): Promise<Pieces> {
    const ahead = this.#source.isRemote ? SHARDS_AHEAD : 0;
    for (let next = this.#opened.length; next <= index + ahead; next += 1) {
      const shard = this.#shards[next];
      if (shard === undefined) break;
      this.#opened.push(this.#open(shard));
    }
    return this.#opened[index] as Promise<Pieces>;
  }

  /** Ends what nobody took. */
  cancel(): void {
    this.#controller.abort(new DOMException('The load ended.', 'AbortError'));
  }

  #open(shard: ShardEntry): Promise<Pieces> {
    const opening = openShard(this.#source, shard, this.#signal).then((stream) =>
      this.#source.isRemote
        ? readPiecesAhead(stream, PIECES_AHEAD, this.#memory)
        : toPieces(stream, this.#memory),
    );
    // A failure is reported when the shard's turn comes, or not at all when the load ends before.
    opening.catch(() => {});
    return opening;
  }
}
