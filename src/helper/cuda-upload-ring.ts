import type { CudaDriver, Handle } from './cuda-driver.ts';
import { requireSuccess } from './cuda-result.ts';
import type { CudaBuffer } from './cuda-resources.ts';

/** Pinned pieces through which data goes to the device; the host fills one while others are on their way. */
const PIECES = 8;
const PIECE_BYTES = 4 * 2 ** 20;
/** Small writes share a piece: so far apart do they start. */
const ALIGNMENT = 256;

interface Piece {
  readonly pointer: Handle;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Recorded when the last copy out of the piece was queued. */
  readonly event: Handle;
  isPending: boolean;
}

/** Copies host bytes to the device without waiting for it, as long as a piece of pinned memory is free. */
export class CudaUploadRing {
  readonly #driver: CudaDriver;
  readonly #stream: Handle;
  readonly #pieces: Piece[] = [];
  #current = 0;
  #used = 0;

  constructor(driver: CudaDriver, stream: Handle) {
    this.#driver = driver;
    this.#stream = stream;
  }

  write(buffer: CudaBuffer, byteOffset: number, data: Uint8Array): void {
    for (let from = 0; from < data.byteLength; from += PIECE_BYTES) {
      const part = data.subarray(from, Math.min(data.byteLength, from + PIECE_BYTES));
      this.#writePart(buffer, byteOffset + from, part);
    }
  }

  destroy(): void {
    for (const { pointer, event } of this.#pieces) {
      this.#driver.cuMemFreeHost(pointer);
      this.#driver.cuEventDestroy_v2(event);
    }
    this.#pieces.length = 0;
  }

  #writePart(buffer: CudaBuffer, byteOffset: number, part: Uint8Array): void {
    if (this.#used + part.byteLength > PIECE_BYTES) this.#next();
    const piece = this.#pieceAt(this.#current);
    const start = this.#used;
    if (start === 0 && piece.isPending) {
      requireSuccess(this.#driver.cuEventSynchronize(piece.event), 'wait for an upload');
      piece.isPending = false;
    }
    piece.bytes.set(part, start);
    requireSuccess(
      this.#driver.cuMemcpyHtoDAsync_v2(
        buffer.address + BigInt(byteOffset),
        piece.pointer + BigInt(start),
        BigInt(part.byteLength),
        this.#stream,
      ),
      `write ${part.byteLength} bytes to "${buffer.label}"`,
    );
    this.#used = Math.ceil((start + part.byteLength) / ALIGNMENT) * ALIGNMENT;
  }

  #next(): void {
    const piece = this.#pieceAt(this.#current);
    requireSuccess(this.#driver.cuEventRecord(piece.event, this.#stream), 'mark an upload');
    piece.isPending = true;
    this.#current = (this.#current + 1) % PIECES;
    this.#used = 0;
  }

  #pieceAt(index: number): Piece {
    let piece = this.#pieces[index];
    if (piece) return piece;
    const driver = this.#driver;
    const pointer = new BigUint64Array(1);
    requireSuccess(driver.cuMemAllocHost_v2(pointer, BigInt(PIECE_BYTES)), 'allocate pinned memory');
    const event = new BigUint64Array(1);
    requireSuccess(driver.cuEventCreate(event, DISABLE_TIMING), 'create an event');
    const bytes = new Uint8Array(driver.view(pointer[0], PIECE_BYTES));
    piece = { pointer: pointer[0], bytes, event: event[0], isPending: false };
    this.#pieces[index] = piece;
    return piece;
  }
}

/** CU_EVENT_DISABLE_TIMING */
export const DISABLE_TIMING = 2;
