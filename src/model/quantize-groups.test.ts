import { describe, expect, it } from 'vitest';
import { fromFloat16Bits } from '../base/float16.ts';
import { TorchRandom } from './goldens/torch-random.test-support.ts';
import { VALUES_PER_WORD, type ScaleRule } from './quantization.ts';
import { dequantizeGroups, quantizeGroups } from './quantize-groups.ts';

const GROUPS = 2000;

/** Groups whose magnitudes and outliers vary. */
function createValues(): Float32Array<ArrayBuffer> {
  const values = new TorchRandom(3).normal(32 * GROUPS);
  return values.map((value, i) => value * 0.02 * (1 + ((i >> 5) % 7)) * (i % 61 === 0 ? 4 : 1));
}

function quantize(values: Float32Array, format: 'q4' | 'q8', rule: ScaleRule): Float32Array {
  const words = new Uint32Array(values.length / VALUES_PER_WORD[format]);
  const scales = new Uint16Array(values.length / 32);
  quantizeGroups(values, words, scales, format, rule);
  const back = new Float32Array(values.length);
  dequantizeGroups(words, scales, back, format);
  return back;
}

function errorsByGroup(values: Float32Array, back: Float32Array): number[] {
  return Array.from({ length: values.length / 32 }, (_, group) => {
    let error = 0;
    for (let i = 32 * group; i < 32 * group + 32; i++) error += (values[i]! - back[i]!) ** 2;
    return error;
  });
}

describe('quantizeGroups', () => {
  it.each(['q4', 'q8'] as const)('finds in no group of %s a scale that is worse than absmax', (format) => {
    const values = createValues();
    const plain = errorsByGroup(values, quantize(values, format, 'absmax'));
    const searched = errorsByGroup(values, quantize(values, format, 'search'));
    const worse = plain.filter((error, group) => searched[group]! > error * (1 + 1e-5));
    expect(worse).toEqual([]);
    const total = (errors: readonly number[]): number => errors.reduce((sum, error) => sum + error, 0);
    expect(total(searched) / total(plain)).toBeLessThan(format === 'q4' ? 0.75 : 1);
  });

  it.each([
    // format, group's one value, its q, scale
    ['q4', 7, 'absmax', 14, 1],
    ['q4', -7, 'absmax', 0, 1],
    ['q4', 8, 'search', 15, 1],
    ['q4', -8, 'search', 15, -1],
    ['q8', 127, 'absmax', 254, 1],
    ['q8', -128, 'search', 255, -1],
  ] as const)('%s stores %d by %s as q %d and scale %d', (format, value, rule, q, scale) => {
    const values = new Float32Array(32);
    values[9] = value;
    const words = new Uint32Array(32 / VALUES_PER_WORD[format]);
    const scales = new Uint16Array(1);
    quantizeGroups(values, words, scales, format, rule);
    const bits = 32 / VALUES_PER_WORD[format];
    const word = words[Math.floor(9 / VALUES_PER_WORD[format])]!;
    expect((word >>> (bits * (9 % VALUES_PER_WORD[format]))) & (2 ** bits - 1)).toBe(q);
    expect(fromFloat16Bits(scales[0]!)).toBe(scale);
  });

  it('returns values that the grid holds', () => {
    const grid = Float32Array.from({ length: 64 }, (_, i) => ((i % 15) - 7) * 2 ** -6);
    expect(quantize(grid, 'q4', 'absmax')).toEqual(grid);
    expect(quantize(grid, 'q4', 'search')).toEqual(grid);
  });

  it('rounds halves to even as numpy does, after the shift by 7', () => {
    const values = new Float32Array(32);
    values.set([7, 0.5, 1.5, 2.5, -0.5, -1.5]);
    const back = quantize(values, 'q4', 'absmax');
    // 7.5 -> 8, 8.5 -> 8, 9.5 -> 10, 6.5 -> 6, 5.5 -> 6
    expect(Array.from(back.subarray(0, 6))).toEqual([7, 1, 1, 3, -1, -1]);
  });
});
