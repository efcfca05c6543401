import type { Device, Recorder } from '../gpu/device.ts';
import { CACHE_BYTES, type CacheFormat } from '../kernels/kernel.ts';
import type { BufferTable } from './buffer-table.ts';
import type { CompileOptions } from './compile-options.ts';
import type { TextConfig } from './config.ts';
import { TEXT_BUFFERS } from './text-buffers.ts';

/** Consecutive bytes of one of the cache's buffers. */
export interface CacheRange {
  readonly buffer: string;
  readonly byteOffset: number;
  readonly byteLength: number;
}

/** Bytes that the keys and values of a token take in all layers together. */
export function cacheBytesPerToken({ L, KV, D }: TextConfig, format: CacheFormat): number {
  return L * 2 * KV * D * CACHE_BYTES[format];
}

/** Keys and values of all slots as bytes: to copy the beginning of one sequence to another, to save and to restore. */
export class KeyValueCache {
  readonly #device: Device;
  readonly #buffers: BufferTable;
  readonly #config: TextConfig;
  readonly #options: CompileOptions;

  constructor(
    device: Device,
    buffers: BufferTable,
    { config, options }: { config: TextConfig; options: CompileOptions },
  ) {
    this.#device = device;
    this.#buffers = buffers;
    this.#config = config;
    this.#options = options;
  }

  get layerCount(): number {
    return this.#config.L;
  }

  /** Bytes of the first `count` tokens in one layer. */
  layerBytes(count: number): number {
    return count * 2 * this.#config.KV * this.#headBytes;
  }

  /** Where the first `count` tokens of a slot lie in a layer: keys before values, head by head. */
  *layerRanges(layer: number, slot: number, count: number): Generator<CacheRange> {
    const { KV } = this.#config;
    const { context } = this.#options;
    const byteLength = count * this.#headBytes;
    for (const kind of ['keys', 'values']) {
      for (let head = 0; head < KV; head++) {
        const byteOffset = (slot * KV + head) * context * this.#headBytes;
        yield { buffer: `${kind}.${layer}`, byteOffset, byteLength };
      }
    }
  }

  /** Reads the first `count` tokens of a slot in one layer. */
  async readLayer(layer: number, slot: number, count: number): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = new Uint8Array(this.layerBytes(count));
    let offset = 0;
    for (const { buffer, byteOffset, byteLength } of this.layerRanges(layer, slot, count)) {
      bytes.set(
        new Uint8Array(await this.#device.read(this.#buffers.get(buffer), byteOffset, byteLength)),
        offset,
      );
      offset += byteLength;
    }
    return bytes;
  }

  /** Writes what `readLayer` gave, in any slot. */
  writeLayer(layer: number, slot: number, count: number, bytes: Uint8Array<ArrayBuffer>): void {
    let offset = 0;
    for (const { buffer, byteOffset, byteLength } of this.layerRanges(layer, slot, count)) {
      this.#device.write(this.#buffers.get(buffer), byteOffset, bytes.subarray(offset, offset + byteLength));
      offset += byteLength;
    }
  }

  /** Records the copy of a slot's first `count` tokens to another slot. */
  recordCopy(recorder: Recorder, { from, to, count }: { from: number; to: number; count: number }): void {
    if (count === 0 || from === to) return;
    // WebGPU copies between different buffers only.
    const scratch = this.#buffers.get(TEXT_BUFFERS.cacheCopy);
    for (let layer = 0; layer < this.#config.L; layer++) {
      const targets = this.layerRanges(layer, to, count);
      for (const { buffer: name, byteOffset, byteLength } of this.layerRanges(layer, from, count)) {
        const target = targets.next().value as CacheRange;
        const buffer = this.#buffers.get(name);
        recorder.copy(buffer, byteOffset, scratch, 0, byteLength);
        recorder.copy(scratch, 0, buffer, target.byteOffset, byteLength);
      }
    }
  }

  /** Bytes of one token in one head. */
  get #headBytes(): number {
    return this.#config.D * CACHE_BYTES[this.#options.cacheFormat];
  }
}
