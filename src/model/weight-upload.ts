import { assert } from '../base/assert.ts';
import { widenFloat16 } from '../base/float16.ts';
import { roundUp } from '../base/maths.ts';
import type { Uploads } from '../gpu/device.ts';
import type { BufferTable } from './buffer-table.ts';
import type { Placement, WeightLayout } from './weight-layout.ts';

/** Writes pieces of stored tensors to the weight buffers that a layout planned. */
export class WeightUpload {
  readonly #uploads: Uploads;
  readonly #buffers: BufferTable;
  readonly #layout: WeightLayout;
  #writtenBytes = 0;

  constructor(uploads: Uploads, buffers: BufferTable, layout: WeightLayout) {
    this.#uploads = uploads;
    this.#buffers = buffers;
    this.#layout = layout;
  }

  /** Bytes written so far. */
  get writtenBytes(): number {
    return this.#writtenBytes;
  }

  /** Writes `bytes` of the tensor from `byteOffset` on; both are multiples of 4. Resolves when they may be reused. */
  async write(tensorName: string, byteOffset: number, bytes: Uint8Array): Promise<void> {
    const placements = this.#layout.placements.get(tensorName);
    assert(placements, `the layout has no place for tensor "${tensorName}"`);
    for (const placement of placements) await this.#writeOverlap(placement, byteOffset, bytes);
  }

  async #writeOverlap(placement: Placement, byteOffset: number, bytes: Uint8Array): Promise<void> {
    const from = Math.max(byteOffset, placement.tensorOffset);
    const to = Math.min(byteOffset + bytes.byteLength, placement.tensorOffset + placement.byteLength);
    if (from >= to) return;
    const piece = bytes.subarray(from - byteOffset, to - byteOffset);
    const offset = from - placement.tensorOffset;
    const data = placement.isWidened ? widen(piece) : toWords(piece);
    const bufferOffset = placement.bufferOffset + (placement.isWidened ? offset * 2 : offset);
    await this.#uploads.write(this.#buffers.get(placement.buffer), bufferOffset, data);
    this.#writtenBytes += data.byteLength;
  }
}

/** f16 bytes, which may start at any address, as f32. */
function widen(bytes: Uint8Array): Float32Array<ArrayBuffer> {
  const bits = new Uint16Array(bytes.slice().buffer);
  const values = new Float32Array(bits.length);
  widenFloat16(bits, values);
  return values;
}

/** Whole words: a last odd f16 leaves two bytes over, and the buffer has room for them. */
function toWords(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  if (bytes.byteLength % 4 === 0) return bytes as Uint8Array<ArrayBuffer>;
  const padded = new Uint8Array(roundUp(bytes.byteLength, 4));
  padded.set(bytes);
  return padded;
}
