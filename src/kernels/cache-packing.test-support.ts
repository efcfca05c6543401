import { expect } from 'vitest';
import { narrowToFloat16, widenFloat16 } from '../base/float16.ts';
import { packQ8Reference, unpackQ8Reference } from './cache-q8.reference.ts';
import type { CacheFormat } from './kernel.ts';
import { expectClose, type Data } from './parity.test-support.ts';

/** Marks cache values that no token owns; f16 holds it exactly, and q8 by digits of -64, which no writer makes. */
export const UNTOUCHED_CACHE = -1024;
const UNTOUCHED_Q8 = 0xf8102040;

/** Largest error of a format; half a step of `q8` is up to 1/64 of the largest of four values. */
const ROUNDING = { f16: 5e-4, q8: 1 / 63 };

/** Largest magnitude that a format holds. */
const MOST = { f32: Infinity, f16: 65504, q8: 1008 };

/** Cache values in the cache's format. */
export function packCache(values: Float32Array<ArrayBuffer>, format: CacheFormat): Data {
  if (format === 'f32') return values.slice();
  if (format === 'q8') {
    return packQ8Reference(values).map((word, i) =>
      values[i * 4] === UNTOUCHED_CACHE ? UNTOUCHED_Q8 : word,
    );
  }
  const halves = new Uint16Array(values.length);
  narrowToFloat16(values, halves);
  return new Uint32Array(halves.buffer);
}

/** The numbers that a cache in some format stands for. */
export function unpackCache(stored: ArrayBuffer, format: CacheFormat): Float32Array<ArrayBuffer> {
  if (format === 'f32') return new Float32Array(stored);
  if (format === 'q8') return unpackQ8Reference(new Uint32Array(stored));
  const halves = new Uint16Array(stored);
  const values = new Float32Array(halves.length);
  widenFloat16(halves, values);
  return values;
}

/** Demands the expected values where there are any, and `UNTOUCHED_CACHE` in all other places. */
export function expectCacheClose(
  stored: ArrayBuffer,
  expected: Float32Array,
  { format, tolerance }: { format: CacheFormat; tolerance: number },
): void {
  const actual = unpackCache(stored, format);
  const isTouched = (values: Float32Array): Float32Array =>
    values.map((value) => Number(value !== UNTOUCHED_CACHE));
  expect(isTouched(actual)).toEqual(isTouched(expected));
  const isWritten = (_: number, index: number): boolean => expected[index] !== UNTOUCHED_CACHE;
  const held = expected.map((value) => Math.min(MOST[format], Math.max(-MOST[format], value)));
  expectClose(actual.filter(isWritten), held.filter(isWritten), { ...ROUNDING, f32: tolerance }[format]);
}
