import type { Recorder } from '../gpu/device.ts';
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
  readonly #buffers: BufferTable;
  readonly #config: TextConfig;
  readonly #options: CompileOptions;

  constructor(buffers: BufferTable, { config, options }: { config: TextConfig; options: CompileOptions }) {
    this.#buffers = buffers;
    this.#config = config;
    this.#options = options;
  }

  /** Where the first `count` tokens of a slot lie: layer by layer, keys before values, head by head. */
  *ranges(slot: number, count: number): Generator<CacheRange> {
    const { L, KV } = this.#config;
    const { context } = this.#options;
    const byteLength = count * this.#headBytes;
    for (let layer = 0; layer < L; layer++) {
      for (const kind of ['keys', 'values']) {
        for (let head = 0; head < KV; head++) {
          const byteOffset = (slot * KV + head) * context * this.#headBytes;
          yield { buffer: `${kind}.${layer}`, byteOffset, byteLength };
        }
      }
    }
  }

  /** Records the copy of a slot's first `count` tokens to another slot. */
  recordCopy(recorder: Recorder, { from, to, count }: { from: number; to: number; count: number }): void {
    if (count === 0 || from === to) return;
    // WebGPU copies between different buffers only.
    const scratch = this.#buffers.get(TEXT_BUFFERS.cacheCopy);
    const targets = this.ranges(to, count);
    for (const { buffer: name, byteOffset, byteLength } of this.ranges(from, count)) {
      const target = targets.next().value as CacheRange;
      const buffer = this.#buffers.get(name);
      recorder.copy(buffer, byteOffset, scratch, 0, byteLength);
      recorder.copy(scratch, 0, buffer, target.byteOffset, byteLength);
    }
  }

  /** Bytes of one token in one head. */
  get #headBytes(): number {
    return this.#config.D * CACHE_BYTES[this.#options.cacheFormat];
  }
}
