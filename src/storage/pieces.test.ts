import { describe, expect, it } from 'vitest';
import { PIECE_BYTES, PieceMemory, readPiecesAhead, toPieces } from './pieces.ts';

type Bytes = Uint8Array<ArrayBuffer>;

/** A stream of chunks of its own memory, each filled with its index. */
function streamOf(sizes: readonly number[]): { stream: ReadableStream<Bytes>; chunks: Bytes[] } {
  const chunks = sizes.map((size, index) => new Uint8Array(size).fill(index + 1));
  let next = 0;
  const stream = new ReadableStream<Bytes>({
    pull: (controller) => {
      if (next < chunks.length) controller.enqueue(chunks[next++]);
      else controller.close();
    },
  });
  return { stream, chunks };
}

describe('Pieces of a stream', () => {
  it.each([
    [PIECE_BYTES, PIECE_BYTES, PIECE_BYTES],
    [PIECE_BYTES - 3, 5, PIECE_BYTES],
    [7, 2 * PIECE_BYTES, 1],
  ])('are its bytes in order, whole ones but the last, of chunks of %i, %i and %i', async (...sizes) => {
    const { stream, chunks } = streamOf(sizes);
    const lengths: number[] = [];
    const firsts: number[] = [];
    let total = 0;
    const ends = chunks.map((_, index) => sizes.slice(0, index + 1).reduce((sum, size) => sum + size, 0));
    for await (const piece of toPieces(stream)) {
      lengths.push(piece.byteLength);
      firsts.push(piece[0] - 1 - ends.findIndex((end) => total < end));
      total += piece.byteLength;
    }
    expect(total).toBe(ends.at(-1));
    expect(lengths.slice(0, -1).every((length) => length === PIECE_BYTES)).toBe(true);
    expect(firsts.every((difference) => difference === 0)).toBe(true);
  });

  it('that are the memory of the stream itself are not kept', async () => {
    const { stream, chunks } = streamOf(Array.from({ length: 4 }, () => PIECE_BYTES));
    const memory = new PieceMemory();
    for await (const piece of toPieces(stream, memory)) expect(piece.byteLength).toBe(PIECE_BYTES);
    const own = new Set(chunks.map(({ buffer }) => buffer));
    const taken = Array.from({ length: 6 }, () => memory.take().buffer);
    expect(taken.some((buffer) => own.has(buffer))).toBe(false);
  });

  it('use the same memory again', async () => {
    const memory = new PieceMemory();
    const buffers = new Set<ArrayBuffer>();
    const odd = Array.from({ length: 12 }, () => PIECE_BYTES - 1);
    for await (const piece of toPieces(streamOf(odd).stream, memory)) buffers.add(piece.buffer);
    expect(buffers.size).toBeLessThanOrEqual(2);
  });

  it('read ahead are right and use as much memory as were asked for, and what the reader fills', async () => {
    const odd = Array.from({ length: 12 }, () => PIECE_BYTES - 1);
    const { stream } = streamOf(odd);
    const buffers = new Set<ArrayBuffer>();
    let total = 0;
    for await (const piece of readPiecesAhead(stream, 3, new PieceMemory())) {
      buffers.add(piece.buffer);
      total += piece.byteLength;
    }
    expect(total).toBe(12 * (PIECE_BYTES - 1));
    expect(buffers.size).toBeLessThanOrEqual(5);
  });
});
