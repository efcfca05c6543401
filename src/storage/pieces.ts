/** Bytes of a piece: what is hashed, kept and handed on at once. Small for memory, large for the disk. */
export const PIECE_BYTES = 4 * 1024 * 1024;

/** Bytes of one read from a byte stream. */
const CHUNK_BYTES = 1024 * 1024;

type Bytes = Uint8Array<ArrayBuffer>;

/** Memory for pieces that is used again and again: what a load threw away would wait for the garbage collector. */
export class PieceMemory {
  readonly #free: ArrayBuffer[] = [];
  readonly #lent = new Set<ArrayBuffer>();

  take(): Bytes {
    const buffer = this.#free.pop() ?? new ArrayBuffer(PIECE_BYTES);
    this.#lent.add(buffer);
    return new Uint8Array(buffer);
  }

  /**
   * Takes back what is no longer used. A stream's own memory, which passes through as a piece, is left to the garbage
   * collector: it was never lent, and would pile up here.
   */
  give({ buffer }: Bytes): void {
    if (this.#lent.delete(buffer)) this.#free.push(buffer);
  }
}

/**
 * Cuts a stream into pieces of exactly `PIECE_BYTES`, the last one shorter. A piece is only valid until the
 * next is asked for: its memory is used again. Leaving the loop cancels the stream.
 */
export async function* toPieces(
  stream: ReadableStream<Bytes>,
  memory: PieceMemory = new PieceMemory(),
): AsyncGenerator<Bytes, void, undefined> {
  for await (const piece of takePieces(stream, memory)) {
    yield piece;
    memory.give(piece);
  }
}

/**
 * As `toPieces`, but begins at once and reads up to `count` pieces before they are asked for. Whoever leaves the
 * loop ends the stream by the signal that it was opened with.
 */
export function readPiecesAhead(
  stream: ReadableStream<Bytes>,
  count: number,
  memory: PieceMemory,
): AsyncGenerator<Bytes, void, undefined> {
  const pieces = takePieces(stream, memory);
  const ahead: Promise<IteratorResult<Bytes, void>>[] = [];
  const begin = (): void => {
    const next = pieces.next();
    // Reported when its turn comes, or not at all when the consumer left before.
    next.catch(() => {});
    ahead.push(next);
  };
  for (let index = 0; index < count; index += 1) begin();
  return (async function* () {
    for (;;) {
      const { done, value } = await (ahead.shift() as Promise<IteratorResult<Bytes, void>>);
      if (done) return;
      yield value;
      memory.give(value);
      begin();
    }
  })();
}

/** As `toPieces`, but each piece is the consumer's until it is given back to the memory. */
function takePieces(
  stream: ReadableStream<Bytes>,
  memory: PieceMemory,
): AsyncGenerator<Bytes, void, undefined> {
  const reader = openByob(stream);
  return reader === undefined ? cutChunks(stream.getReader(), memory) : fillPieces(reader, memory);
}

function openByob(stream: ReadableStream<Bytes>): ReadableStreamBYOBReader | undefined {
  try {
    return stream.getReader({ mode: 'byob' });
  } catch {
    return undefined;
  }
}

/** For byte streams: they fill the same memory again and again instead of making new. */
async function* fillPieces(
  reader: ReadableStreamBYOBReader,
  pieces: PieceMemory,
): AsyncGenerator<Bytes, void, undefined> {
  let piece = pieces.take();
  let memory = new ArrayBuffer(CHUNK_BYTES);
  let filled = 0;
  try {
    for (;;) {
      const wanted = new Uint8Array(memory, 0, Math.min(CHUNK_BYTES, PIECE_BYTES - filled));
      const { done, value } = await reader.read(wanted);
      if (done) break;
      // Copied, because a stream may lose the memory it is given when its connection breaks.
      piece.set(value, filled);
      memory = value.buffer;
      filled += value.byteLength;
      if (filled < PIECE_BYTES) continue;
      yield piece;
      piece = pieces.take();
      filled = 0;
    }
    if (filled > 0) yield piece.subarray(0, filled);
    else pieces.give(piece);
  } finally {
    stop(reader);
  }
}

/** For streams that bring their own memory; whole pieces pass through without a copy. */
async function* cutChunks(
  reader: ReadableStreamDefaultReader<Bytes>,
  pieces: PieceMemory,
): AsyncGenerator<Bytes, void, undefined> {
  let piece = pieces.take();
  let filled = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      let bytes = value;
      while (bytes.byteLength > 0) {
        if (filled === 0 && bytes.byteLength >= PIECE_BYTES) {
          yield bytes.subarray(0, PIECE_BYTES);
          bytes = bytes.subarray(PIECE_BYTES);
          continue;
        }
        const taken = bytes.subarray(0, PIECE_BYTES - filled);
        piece.set(taken, filled);
        filled += taken.byteLength;
        bytes = bytes.subarray(taken.byteLength);
        if (filled < PIECE_BYTES) continue;
        yield piece;
        piece = pieces.take();
        filled = 0;
      }
    }
    if (filled > 0) yield piece.subarray(0, filled);
    else pieces.give(piece);
  } finally {
    stop(reader);
  }
}

/** Not awaited: a source may take its time to stop, and a finished stream has nothing to stop. */
function stop(reader: ReadableStreamGenericReader): void {
  reader.cancel().catch(() => {});
}
