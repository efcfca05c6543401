/** Activations as `preludes/emit-int8.wgsl` and `emit-int8-shared.wgsl` store them. */
export interface Int8Arrays {
  /** [rows, K / 32, 16] words: 8 of high, 8 of low digits */
  readonly codes: Uint32Array<ArrayBuffer>;
  /** [rows, K / 32, 2]: scale, and 7 times the sum of the rounded values */
  readonly totals: Float32Array<ArrayBuffer>;
}

/** Values that share a scale. */
const GROUP = 32;

/** Steps of the low digit in one of the high digit. */
const LOW_STEPS = 254;

/** Magnitudes below this one count as this one: 1 / scale must stay finite. */
const SMALLEST = 2 ** -116;

/** CPU twin of `preludes/emit-int8.wgsl` and `emit-int8-shared.wgsl`: values [rows, K], with K a multiple of 32, as digits. */
export function encodeInt8(values: Float32Array): Int8Arrays {
  const groups = values.length / GROUP;
  const digits = new Int8Array(values.length * 2);
  const totals = new Float32Array(groups * 2);
  for (let group = 0; group < groups; group++) {
    const members = values.subarray(group * GROUP, (group + 1) * GROUP);
    const scale = members.reduce((largest, value) => Math.max(largest, Math.abs(value)), SMALLEST) / 127;
    let sum = 0;
    members.forEach((value, k) => {
      const high = Math.round(value / scale);
      const low = Math.round((value / scale - high) * LOW_STEPS);
      const place = placeOfHigh(group, k);
      digits[place] = high;
      digits[place + GROUP] = low;
      sum += high + low / LOW_STEPS;
    });
    totals.set([scale, 7 * scale * sum], group * 2);
  }
  return { codes: new Uint32Array(digits.buffer), totals };
}

/** The values [rows, K] that digits stand for, and 7 times the sum of each group. */
export function decodeInt8({ codes, totals }: Int8Arrays): {
  values: Float32Array<ArrayBuffer>;
  sevenfoldSums: Float32Array<ArrayBuffer>;
} {
  const digits = new Int8Array(codes.buffer, codes.byteOffset, codes.byteLength);
  const values = new Float32Array(codes.byteLength / 2).map((_, index) => {
    const group = Math.floor(index / GROUP);
    const place = placeOfHigh(group, index % GROUP);
    return totals[group * 2] * (digits[place] + digits[place + GROUP] / LOW_STEPS);
  });
  return { values, sevenfoldSums: totals.filter((_, index) => index % 2 === 1) };
}

/** What is left of values [rows, K] after `encodeInt8`. */
export function roundToInt8Digits(values: Float32Array): Float32Array<ArrayBuffer> {
  return decodeInt8(encodeInt8(values)).values;
}

/** Byte of a value's high digit; its low digit lies 32 bytes on. */
function placeOfHigh(group: number, k: number): number {
  // Word 2j holds the even, word 2j + 1 the odd ones of the eight values 8j..8j+7.
  const word = Math.floor(k / 8) * 2 + (k % 2);
  return group * GROUP * 2 + word * 4 + Math.floor((k % 8) / 2);
}
