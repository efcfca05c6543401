import { describe, expect, it } from 'vitest';
import { decodeInt8, encodeInt8, roundToInt8Digits } from './int8-activations.reference.ts';
import { randomFloats } from './parity.test-support.ts';

/** A group whose high digits count ones, with the given values first. */
function groupOf(...values: number[]): Float32Array {
  const group = new Float32Array(32);
  group.set(values);
  group[31] = 127;
  return group;
}

describe('encodeInt8', () => {
  it('puts even and odd values of eight into a word of a plane each, high digits before low ones', () => {
    const { codes, totals } = encodeInt8(groupOf(1, 2, 3, 4, 5, 6, 7, 8, 9, 10), 32);
    expect([...codes.subarray(0, 4)]).toEqual([0x07050301, 0x00000009, 0, 0]);
    // 127 is value 31: the last of the odd ones.
    expect([...codes.subarray(4, 8)]).toEqual([0x08060402, 0x0000000a, 0, 0x7f000000]);
    expect([...codes.subarray(8)]).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
    expect(totals[0]).toBe(1 / 256);
    expect(totals[1]).toBe(7 * (55 + 127));
  });

  it('keeps each plane of a row together', () => {
    const groups = [1, 2, 3, 4].map((value) => [...groupOf(value)]);
    const { codes } = encodeInt8(Float32Array.from(groups.flat()), 64);
    // Rows of two groups: the even high digits of both, and so on.
    const planes = [0, 8, 32, 40].map((first) => [codes[first], codes[first + 4]]);
    expect(planes).toEqual([
      [1, 2],
      [0, 0],
      [3, 4],
      [0, 0],
    ]);
  });

  it('keeps the rest of the high digit, of either sign, in the low one', () => {
    const { codes } = encodeInt8(groupOf(2 + 10 / 256, -3 - 20 / 256, 4 - 30 / 256), 32);
    expect(new Int8Array(codes.buffer).subarray(0, 4)).toEqual(Int8Array.of(2, 4, 0, 0));
    expect(new Int8Array(codes.buffer)[16]).toBe(-3);
    expect(new Int8Array(codes.buffer).subarray(32, 36)).toEqual(Int8Array.of(10, -30, 0, 0));
    expect(new Int8Array(codes.buffer)[48]).toBe(-20);
  });

  it('is undone by decodeInt8 to less than 1/64000 of the largest value of the group', () => {
    const values = randomFloats(32 * 40, 1);
    const rounded = roundToInt8Digits(values);
    for (let first = 0; first < values.length; first += 32) {
      const group = values.subarray(first, first + 32);
      const largest = Math.max(...group.map(Math.abs));
      const worst = Math.max(...group.map((value, k) => Math.abs(value - rounded[first + k])));
      expect(worst).toBeGreaterThan(0);
      expect(worst).toBeLessThan(largest / 64000);
    }
  });

  it('gives zeros for a group of zeros or of magnitudes that have no scale', () => {
    for (const value of [0, -0, 1e-45, -1e-44]) {
      const group = new Float32Array(32).fill(value);
      expect(roundToInt8Digits(group).every((rounded) => Math.abs(rounded) === 0)).toBe(true);
    }
  });

  it('gives 7 times the sum of the rounded values', () => {
    const { values, sevenfoldSums } = decodeInt8(encodeInt8(randomFloats(64, 2), 32), 32);
    [0, 1].forEach((group) => {
      const sum = values.subarray(group * 32, group * 32 + 32).reduce((total, value) => total + value, 0);
      expect(sevenfoldSums[group]).toBeCloseTo(7 * sum, 4);
    });
  });
});
