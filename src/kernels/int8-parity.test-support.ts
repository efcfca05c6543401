import { expect } from 'vitest';
import { decodeInt8, type Int8Arrays } from './int8-activations.reference.ts';
import type { Int8Activations } from './int8-activations.ts';
import { randomFloats, ref } from './parity.test-support.ts';

/** Words that no kernel writes, to see what stays untouched. */
const UNTOUCHED = { codes: 0x12345678, totals: 12345 } as const;

/** Bindings to the buffers of `int8Target`. */
export const INT8_TARGET: Int8Activations = { codes: ref('codes'), totals: ref('totals') };

/** Buffers for so many values, and for one more group that nobody may write. */
export function int8Target(valueCount: number): Int8Arrays {
  const groups = valueCount / 32 + 1;
  return {
    codes: new Uint32Array(groups * 16).fill(UNTOUCHED.codes),
    totals: new Float32Array(groups * 2).fill(UNTOUCHED.totals),
  };
}

/** What `expectInt8Close` compares with. */
export interface Int8Expectation {
  /** The values before rounding. */
  readonly exact: Float32Array;
  /** What the kernel's twin gives. */
  readonly rounded: Float32Array;
  /** Values of a row; default: all. */
  readonly K?: number;
  /** Error of the values before rounding, as a share of the tensor's largest magnitude. */
  readonly inputError?: number;
}

/**
 * Demands that the digits of `int8Target` buffers stand for the exact values, to half a step of the low digit of each
 * group; that they are the twin's but where a value lies between two steps; that the sums are those of the rounded
 * values; and that nothing was written past the end.
 */
export function expectInt8Close(
  results: Readonly<Record<string, ArrayBuffer>>,
  { exact, rounded, K = exact.length, inputError = 0 }: Int8Expectation,
): void {
  const groups = exact.length / 32;
  const codes = new Uint32Array(results.codes);
  const totals = new Float32Array(results.totals);
  expect(codes.subarray(groups * 16)).toEqual(new Uint32Array(16).fill(UNTOUCHED.codes));
  expect(totals.subarray(groups * 2)).toEqual(new Float32Array(2).fill(UNTOUCHED.totals));
  const written = { codes: codes.slice(0, groups * 16), totals: totals.slice(0, groups * 2) };
  const actual = decodeInt8(written, K);
  const allowedBefore = inputError * magnitude(exact);
  let differing = 0;
  for (let group = 0; group < groups; group++) {
    const members = exact.subarray(group * 32, group * 32 + 32);
    const largest = magnitude(members);
    // A scale of 0 would hide digits that come from a division by it.
    if (largest === 0)
      expect(actual.values.subarray(group * 32, group * 32 + 32).every((value) => value === 0)).toBe(true);
    let sum = 0;
    members.forEach((value, k) => {
      const index = group * 32 + k;
      const found = actual.values[index];
      sum += found;
      const place = `index ${index}: expected ${value}, actual ${found}, largest of the group ${largest}`;
      expectAtMost(Math.abs(found - value), largest / 64000 + allowedBefore, place);
      if (Math.abs(found - rounded[index]) > largest * 1e-6 + allowedBefore) differing++;
    });
    const sumError = Math.abs(actual.sevenfoldSums[group] - 7 * sum);
    expectAtMost(sumError, 7 * largest * 1e-5, `sum of group ${group}, which is ${sum}`);
  }
  expect(differing / exact.length, 'share of the values that differ from the twin').toBeLessThan(0.03);
}

/** `expect` for each of a tensor's values would take longer than the kernel. A NaN fails. */
function expectAtMost(error: number, allowed: number, place: string): void {
  if (!(error <= allowed)) expect(error, place).toBeLessThanOrEqual(allowed);
}

/** The largest magnitude of a tensor. */
export function magnitude(values: Float32Array): number {
  return values.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
}

/**
 * Random rows whose groups of 32 take turns: plain values, zeros, plain values beside a huge one, tiny values.
 * One scale for more than a group would lose the tiny ones.
 */
export function randomGroups(length: number, seed: number): Float32Array<ArrayBuffer> {
  return randomFloats(length, seed).map((value, index) => {
    switch (Math.floor(index / 32) % 4) {
      case 1:
        return 0;
      case 2:
        return index % 32 === 13 ? 1000 * value : value;
      case 3:
        return value * 1e-4;
      default:
        return value;
    }
  });
}
