import { describe, expect, it } from 'vitest';
import {
  fromFloat16Bits,
  narrowToBfloat16,
  narrowToFloat16,
  toFloat16Bits,
  widenBfloat16,
  widenFloat16,
} from './float16.ts';

describe('float16', () => {
  it('returns every one of the 65536 bit patterns to itself', () => {
    const bits = Uint16Array.from({ length: 65536 }, (_, i) => i);
    const values = new Float32Array(bits.length);
    widenFloat16(bits, values);
    const back = new Uint16Array(bits.length);
    narrowToFloat16(values, back);
    const wrong = bits.filter((b) => !Number.isNaN(values[b]!) && back[b] !== b);
    expect([...wrong]).toEqual([]);
    expect(values[0x7c00]).toBe(Infinity);
    expect(values[0x7e00]).toBeNaN();
    expect(Object.is(values[0x8000], -0)).toBe(true);
  });

  it.each([
    // value, bits: halfway cases go to the even neighbour
    [1, 0x3c00],
    [-2, 0xc000],
    [65504, 0x7bff],
    [65519.99, 0x7bff],
    [65520, 0x7c00],
    [-70000, 0xfc00],
    [1 + 2 ** -11, 0x3c00],
    [1 + 3 * 2 ** -11, 0x3c02],
    [2 ** -24, 0x0001],
    [2 ** -25, 0x0000],
    [1.5 * 2 ** -24, 0x0002],
    [2.5 * 2 ** -24, 0x0002],
    [-(2 ** -14), 0x8400],
    [2 ** -14 - 2 ** -26, 0x0400],
    [1e-30, 0x0000],
    [Infinity, 0x7c00],
    [NaN, 0x7e00],
  ])('rounds %d to 0x%s', (value, bits) => {
    expect(toFloat16Bits(value)).toBe(bits);
  });

  it('rounds between every pair of neighbours by distance, ties to even', () => {
    for (let bits = 0; bits < 0x7bff; bits++) {
      const low = fromFloat16Bits(bits);
      const middle = (low + fromFloat16Bits(bits + 1)) / 2;
      const step = middle * 2 ** -20;
      expect(toFloat16Bits(middle)).toBe(bits + (bits & 1));
      expect(toFloat16Bits(middle - step)).toBe(bits);
      expect(toFloat16Bits(middle + step)).toBe(bits + 1);
    }
  });

  it('keeps bfloat16 values and rounds between them to even', () => {
    const values = Float32Array.of(1, -3.5, 1 + 2 ** -8, 1 + 3 * 2 ** -8, 1e30, 2 ** -133);
    const bits = new Uint16Array(values.length);
    narrowToBfloat16(values, bits);
    const back = new Float32Array(values.length);
    widenBfloat16(bits, back);
    expect(Array.from(back.subarray(0, 4))).toEqual([1, -3.5, 1, 1 + 2 ** -6]);
    expect(back[4]! / 1e30).toBeCloseTo(1, 2);
    expect(back[5]).toBe(2 ** -133); // the smallest subnormal
  });
});
