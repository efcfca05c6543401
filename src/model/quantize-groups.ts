import { FLOAT16_MAX, fromFloat16Bits, toFloat16Bits } from '../base/float16.ts';
import { GROUP_SIZE, VALUES_PER_WORD, ZERO_POINT, type ScaleRule } from './quantization.ts';
import { roundToFloat16 } from './round-scale.ts';

/** Adding and subtracting this rounds a double of small magnitude to an integer, halves to even. */
const ROUND_TO_INTEGER = 6755399441055744; // 1.5 * 2^52

/**
 * Divisors of a group's extreme value that the search tries as scales. The first is MLC's own, so that the
 * result is never worse; with the second the extreme value takes the topmost level, which the plain rule
 * leaves unused; with the 4-bit ones beyond 8 it is clipped in favour of the other 31 values.
 */
export const SEARCH_DIVISORS: Readonly<Record<'q4' | 'q8', readonly number[]>> = {
  q4: [7, 8, 7.5, 8.5, 9, 9.75],
  q8: [127, 128],
};

/**
 * Quantises groups of 32 values to 4 or 8 bits, as `quantization.ts` lays them out.
 *
 * `absmax` is MLC's rule in the arithmetic of numpy and torch: scale = f16(max|w| / 7), q = clip(round to
 * even(w / scale + 7), 0, 14), every step in f32 (127 and 254 for 8 bits); the caller has rounded `values`
 * to f16.
 *
 * `search` keeps of several scales the one of least squared error and refines it by least squares. Its scale
 * has the sign of the group's extreme value, so that this value can use the level (15 - 7) * scale; a kernel
 * that computes (q - 7) * scale need not know. On normally distributed weights the squared error is 0.70 of
 * that of `absmax`; in no group is it above.
 *
 * This is the plain form; `autoglm convert` runs the same arithmetic in SIMD (`src/cli/block-kernel.wat`).
 *
 * @param values finite; a multiple of 32 of them
 * @param words one for every 8 (4) values
 * @param scales f16 bits, one for every 32 values; infinite where f16 cannot hold the scale
 */
export function quantizeGroups(
  values: Float32Array,
  words: Uint32Array,
  scales: Uint16Array,
  format: 'q4' | 'q8',
  rule: ScaleRule,
): void {
  const low = -ZERO_POINT[format];
  const levels = new Int16Array(GROUP_SIZE);
  for (let start = 0; start < values.length; start += GROUP_SIZE) {
    const extreme = findExtreme(values, start);
    const scale =
      rule === 'search'
        ? searchScale(values, start, extreme, format)
        : fromFloat16Bits(toFloat16Bits(Math.abs(extreme) / -low));
    if (rule === 'search') roundByInverse(values, start, scale, low, levels);
    else roundByDivision(values, start, scale, -low, levels);
    scales[start / GROUP_SIZE] = toFloat16Bits(scale);
    if (format === 'q4') packNibbles(levels, words, start / VALUES_PER_WORD.q4);
    else packBytes(levels, words, start / VALUES_PER_WORD.q8);
  }
}

/** The inverse of `quantizeGroups`: `values[i] = (q - 7) * scale` (127 for 8 bits), in f32. */
export function dequantizeGroups(
  words: Uint32Array,
  scales: Uint16Array,
  values: Float32Array,
  format: 'q4' | 'q8',
): void {
  const perWord = VALUES_PER_WORD[format];
  const bits = 32 / perWord;
  const mask = 2 ** bits - 1;
  for (let i = 0; i < values.length; i++) {
    const q = (words[Math.floor(i / perWord)]! >>> (bits * (i % perWord))) & mask;
    values[i] = (q - ZERO_POINT[format]) * fromFloat16Bits(scales[Math.floor(i / GROUP_SIZE)]!);
  }
}

/** The value of greatest magnitude in a group, with its sign; the positive one of two. */
function findExtreme(values: Float32Array, start: number): number {
  let max = 0;
  let min = 0;
  for (let i = start; i < start + GROUP_SIZE; i++) {
    if (values[i]! > max) max = values[i]!;
    if (values[i]! < min) min = values[i]!;
  }
  return max >= -min ? max : min;
}

/** The f16 scale of least squared error in a group; 0 or infinite when f16 is too coarse or too small. */
function searchScale(values: Float32Array, start: number, extreme: number, format: 'q4' | 'q8'): number {
  const low = -ZERO_POINT[format];
  if (Math.abs(extreme) > FLOAT16_MAX * -low) return Infinity;
  let best = 0;
  let least = Infinity;
  for (const divisor of SEARCH_DIVISORS[format]) {
    const scale = roundToFloat16(extreme / divisor);
    const error = scale === 0 ? Infinity : squaredError(values, start, scale, low);
    if (error < least) [best, least] = [scale, error];
  }
  if (best === 0) return 0;
  const refined = roundToFloat16(fitScale(values, start, best, low));
  return refined !== 0 && squaredError(values, start, refined, low) < least ? refined : best;
}

/**
 * The squared error of a group quantised with a scale. Like every sum here it is f32 in four lanes, as SIMD
 * adds: the plain form and the fast one then choose the same scales.
 */
function squaredError(values: Float32Array, start: number, scale: number, low: number): number {
  const inverse = Math.fround(1 / scale);
  const lanes = new Float32Array(4);
  for (let i = 0; i < GROUP_SIZE; i++) {
    const w = values[start + i]!;
    const rest = Math.fround(w - scale * roundLevel(w, inverse, low));
    lanes[i % 4]! += Math.fround(rest * rest);
  }
  return sumLanes(lanes);
}

/** The scale of least squared error for the q that a scale gives. */
function fitScale(values: Float32Array, start: number, scale: number, low: number): number {
  const inverse = Math.fround(1 / scale);
  const wq = new Float32Array(4);
  const qq = new Float32Array(4);
  for (let i = 0; i < GROUP_SIZE; i++) {
    const w = values[start + i]!;
    const q = roundLevel(w, inverse, low);
    wq[i % 4]! += Math.fround(w * q);
    qq[i % 4]! += q * q;
  }
  return sumLanes(wq) / sumLanes(qq);
}

/** w / scale as a whole number from `low` to `1 - low`. */
function roundLevel(w: number, inverse: number, low: number): number {
  const q = Math.fround(w * inverse) + ROUND_TO_INTEGER - ROUND_TO_INTEGER;
  return Math.min(1 - low, Math.max(low, q));
}

function sumLanes(lanes: Float32Array): number {
  return Math.fround(Math.fround(lanes[0]! + lanes[1]!) + Math.fround(lanes[2]! + lanes[3]!));
}

/** `levels` becomes q for every value of a group; the zero point for a scale of 0. */
function roundByInverse(
  values: Float32Array,
  start: number,
  scale: number,
  low: number,
  levels: Int16Array,
): void {
  const inverse = scale === 0 ? 0 : Math.fround(1 / scale);
  for (let i = 0; i < GROUP_SIZE; i++) levels[i] = roundLevel(values[start + i]!, inverse, low) - low;
}

/** `levels` becomes q for every value of a group, rounded at each step as f32 arithmetic rounds. */
function roundByDivision(
  values: Float32Array,
  start: number,
  scale: number,
  zeroPoint: number,
  levels: Int16Array,
): void {
  const divisor = scale === 0 ? Infinity : scale;
  for (let i = 0; i < GROUP_SIZE; i++) {
    const shifted = Math.fround(Math.fround(values[start + i]! / divisor) + zeroPoint);
    const q = shifted + ROUND_TO_INTEGER - ROUND_TO_INTEGER;
    levels[i] = q < 0 ? 0 : q > 2 * zeroPoint ? 2 * zeroPoint : q;
  }
}

function packNibbles(levels: Int16Array, words: Uint32Array, first: number): void {
  for (let word = 0; word < 4; word++) {
    const at = word * 8;
    words[first + word] =
      levels[at]! |
      (levels[at + 1]! << 4) |
      (levels[at + 2]! << 8) |
      (levels[at + 3]! << 12) |
      (levels[at + 4]! << 16) |
      (levels[at + 5]! << 20) |
      (levels[at + 6]! << 24) |
      (levels[at + 7]! << 28);
  }
}

function packBytes(levels: Int16Array, words: Uint32Array, first: number): void {
  for (let word = 0; word < 8; word++) {
    const at = word * 4;
    words[first + word] =
      levels[at]! | (levels[at + 1]! << 8) | (levels[at + 2]! << 16) | (levels[at + 3]! << 24);
  }
}
