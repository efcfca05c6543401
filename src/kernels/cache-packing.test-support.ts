import { expect } from 'vitest';
import { narrowToFloat16, widenFloat16 } from '../base/float16.ts';
import type { CacheFormat } from './kernel.ts';
import { expectClose, type Data } from './parity.test-support.ts';

/** Marks cache values that no token owns; f16 holds it exactly. */
export const UNTOUCHED_CACHE = 12344;

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
  expectClose(actual.filter(isWritten), expected.filter(isWritten), format === 'f16' ? 5e-4 : tolerance);
}
