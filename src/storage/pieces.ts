/** Bytes of a piece: what is hashed, kept and handed on at once. Small for memory, large for the disk. */
export const PIECE_BYTES = 4 * 1024 * 1024;

/** Bytes of one read from a byte stream. */
const CHUNK_BYTES = 1024 * 1024;

type Bytes = Uint8Array<ArrayBuffer>;

/**
 * Cuts a stream into pieces of exactly `PIECE_BYTES`, the last one shorter. A piece is only valid until the
 * next is asked for: its memory is used again. Leaving the loop cancels the stream.
 */
export async function* toPieces(stream: ReadableStream<Bytes>): AsyncGenerator<Bytes, void, undefined> {
  const reader = openByob(stream);
  yield* reader === undefined ? cutChunks(stream.getReader()) : fillPieces(reader);
}

function openByob(stream: ReadableStream<Bytes>): ReadableStreamBYOBReader | undefined {
  try {
    return stream.getReader({ mode: 'byob' });
  } catch {
    return undefined;
  }
}

/** For byte streams: they fill the same memory again and again instead of making new. */
async function* fillPieces(reader: ReadableStreamBYOBReader): AsyncGenerator<Bytes, void, undefined> {
  const piece = new Uint8Array(PIECE_BYTES);
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
      filled = 0;
    }
    if (filled > 0) yield piece.subarray(0, filled);
  } finally {
    stop(reader);
  }
}

/** For streams that bring their own memory; whole pieces pass through without a copy. */
async function* cutChunks(
  reader: ReadableStreamDefaultReader<Bytes>,
): AsyncGenerator<Bytes, void, undefined> {
  const buffer = new Uint8Array(PIECE_BYTES);
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
        buffer.set(taken, filled);
        filled += taken.byteLength;
        bytes = bytes.subarray(taken.byteLength);
        if (filled < PIECE_BYTES) continue;
        yield buffer;
        filled = 0;
      }
    }
    if (filled > 0) yield buffer.subarray(0, filled);
  } finally {
    stop(reader);
  }
}

/** Not awaited: a source may take its time to stop, and a finished stream has nothing to stop. */
function stop(reader: ReadableStreamGenericReader): void {
  reader.cancel().catch(() => {});
}
