/**
 * Bulk conversions between IEEE binary16, bfloat16 and binary32. All of them take raw bits, so that a
 * tensor's bytes can be viewed in place. JavaScript engines of this package's range have no Float16Array.
 */

/** The largest finite binary16 value. */
export const FLOAT16_MAX = 65504;

/** Adding and subtracting this rounds a double of small magnitude to an integer, halves to even. */
const ROUND_TO_INTEGER = 6755399441055744; // 1.5 * 2^52

const scratch = new Float32Array(1);
const scratchBits = new Uint32Array(scratch.buffer);

let halfTable: Float32Array | undefined;

/** All 65536 binary16 values by their bits; a lookup is faster than assembling the number. */
function getHalfTable(): Float32Array {
  if (halfTable === undefined) {
    halfTable = new Float32Array(65536);
    for (let bits = 0; bits < 65536; bits++) halfTable[bits] = assembleFloat16(bits);
  }
  return halfTable;
}

function assembleFloat16(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1024 + fraction) * 2 ** (exponent - 25);
}

/** The number that the 16 bits of a binary16 stand for. */
export function fromFloat16Bits(bits: number): number {
  return getHalfTable()[bits & 0xffff]!;
}

/**
 * The bits of the binary16 nearest to a number, halves to even; what exceeds 65504 by half a step or more
 * becomes infinite. The number is rounded to binary32 first, as numpy and torch hold it.
 */
export function toFloat16Bits(value: number): number {
  scratch[0] = value;
  return roundBitsToFloat16(scratchBits[0]!, scratch[0]!);
}

function roundBitsToFloat16(bits: number, value: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude >= 0x38800000 && magnitude < 0x47800000) {
    // Normal range: rebias the exponent by 112, then round the 13 dropped bits to even by a carry.
    return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
  }
  if (magnitude < 0x38800000) {
    return sign | (Math.abs(value) * 2 ** 24 + ROUND_TO_INTEGER - ROUND_TO_INTEGER);
  }
  return sign | (magnitude > 0x7f800000 ? 0x7e00 : 0x7c00);
}

/** Widens binary16 bits; `values` must be at least as long as `bits`. */
export function widenFloat16(bits: Uint16Array, values: Float32Array): void {
  const table = getHalfTable();
  for (let i = 0; i < bits.length; i++) values[i] = table[bits[i]!]!;
}

/** Widens bfloat16 bits; `values` must be at least as long as `bits`. */
export function widenBfloat16(bits: Uint16Array, values: Float32Array): void {
  const wide = new Uint32Array(values.buffer, values.byteOffset, bits.length);
  for (let i = 0; i < bits.length; i++) wide[i] = bits[i]! << 16;
}

/** Rounds to binary16, halves to even; `bits` must be at least as long as `values`. */
export function narrowToFloat16(values: Float32Array, bits: Uint16Array): void {
  const wide = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (let i = 0; i < wide.length; i++) bits[i] = roundBitsToFloat16(wide[i]!, values[i]!);
}

/** Rounds finite values to bfloat16, halves to even; `bits` must be at least as long as `values`. */
export function narrowToBfloat16(values: Float32Array, bits: Uint16Array): void {
  const wide = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (let i = 0; i < wide.length; i++) bits[i] = (wide[i]! + 0x7fff + ((wide[i]! >>> 16) & 1)) >>> 16;
}
