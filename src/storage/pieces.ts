/** Bytes of a piece: what is hashed, kept and handed on at once. Small for memory, large for the disk. */
export const PIECE_BYTES = 4 * 1024 * 1024;

/**
 * Cuts a stream into pieces of exactly `PIECE_BYTES`, the last one shorter. A piece is only valid until the
 * next is asked for: its memory is used again. Leaving the loop cancels the stream.
 */
export async function* toPieces(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void, undefined> {
  const reader = stream.getReader();
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
    // Not awaited: a source may take its time to stop, and a finished stream has nothing to stop.
    reader.cancel().catch(() => {});
  }
}
