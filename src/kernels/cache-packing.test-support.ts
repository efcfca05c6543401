import { narrowToFloat16, widenFloat16 } from '../base/float16.ts';
import type { CacheFormat } from './kernel.ts';
import type { Data } from './parity.test-support.ts';

/** Cache values in the cache's format. */
export function packCache(values: Float32Array<ArrayBuffer>, format: CacheFormat): Data {
  if (format === 'f32') return values.slice();
  const halves = new Uint16Array(values.length);
  narrowToFloat16(values, halves);
  return new Uint32Array(halves.buffer);
}

/** The numbers that a cache in some format stands for. */
export function unpackCache(stored: ArrayBuffer, format: CacheFormat): Float32Array<ArrayBuffer> {
  if (format === 'f32') return new Float32Array(stored);
  const halves = new Uint16Array(stored);
  const values = new Float32Array(halves.length);
  widenFloat16(halves, values);
  return values;
}
