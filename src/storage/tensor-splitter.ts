import type { ShardEntry, TensorEntry } from './manifest.ts';

/**
 * Takes bytes of one tensor. `byteOffset` counts from the start of the tensor and is a multiple of 4, as is
 * the length except at the tensor's end. The bytes are only valid until the returned promise resolves, and
 * may start at any address. The same range can come twice: the later bytes replace the earlier ones.
 */
export type OnTensorBytes = (
  tensor: TensorEntry,
  byteOffset: number,
  bytes: Uint8Array<ArrayBuffer>,
) => void | Promise<void>;

/** Deals the bytes of a shard, which arrive in order, out to its tensors. */
export class TensorSplitter {
  readonly #tensors: readonly TensorEntry[];
  readonly #onTensorBytes: OnTensorBytes;
  /** Position in the shard of the next byte to arrive. */
  #position = 0;
  #tensorIndex = 0;
  /** Up to three bytes that wait for the word they belong to. */
  #carry = new Uint8Array(0);

  constructor(shard: ShardEntry, onTensorBytes: OnTensorBytes) {
    this.#tensors = shard.tensors.filter((tensor) => tensor.byteLength > 0);
    this.#onTensorBytes = onTensorBytes;
  }

  /** Hands out the shard's next bytes; resolves when the consumer has taken them. */
  async push(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    const start = this.#position;
    const end = start + bytes.byteLength;
    for (; this.#tensorIndex < this.#tensors.length; this.#tensorIndex += 1) {
      const tensor = this.#tensors[this.#tensorIndex] as TensorEntry;
      const tensorEnd = tensor.byteOffset + tensor.byteLength;
      if (tensor.byteOffset >= end) break;
      const from = Math.max(tensor.byteOffset, start);
      const to = Math.min(tensorEnd, end);
      await this.#emit(tensor, from - tensor.byteOffset, bytes.subarray(from - start, to - start));
      if (tensorEnd > end) break;
    }
    this.#position = end;
  }

  async #emit(tensor: TensorEntry, byteOffset: number, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    const start = byteOffset - this.#carry.byteLength;
    const whole = this.#carry.byteLength === 0 ? bytes : join(this.#carry, bytes);
    const isEnd = byteOffset + bytes.byteLength === tensor.byteLength;
    const ready = isEnd ? whole.byteLength : whole.byteLength - (whole.byteLength % 4);
    this.#carry = whole.slice(ready);
    if (ready > 0) await this.#onTensorBytes(tensor, start, whole.subarray(0, ready));
  }
}

function join(head: Uint8Array, tail: Uint8Array): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(head.byteLength + tail.byteLength);
  joined.set(head);
  joined.set(tail, head.byteLength);
  return joined;
}
