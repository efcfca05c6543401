/** Activations as `preludes/emit-int8.wgsl` stores them. */
export interface Int8Arrays {
  /** [rows, 4, K / 32, 4] words: planes of even high, odd high, even low and odd low digits */
  readonly codes: Uint32Array<ArrayBuffer>;
  /** [rows, K / 32, 2]: step, and 7 times the sum of the rounded values */
  readonly totals: Float32Array<ArrayBuffer>;
}

/** Values that share a scale. */
const GROUP = 32;

/** Steps of the low digit in one of the high digit. */
const LOW_STEPS = 256;

/** Steps of the largest magnitude of a group. */
const MOST_STEPS = 32512;

/** Magnitudes below this one count as this one: 1 / step must stay finite. */
const SMALLEST = 2 ** -108;

/** CPU twin of `preludes/emit-int8.wgsl`: values [rows, K], with K a multiple of 32, as digits. */
export function encodeInt8(values: Float32Array, K: number): Int8Arrays {
  const groups = values.length / GROUP;
  const digits = new Int8Array(values.length * 2);
  const totals = new Float32Array(groups * 2);
  for (let group = 0; group < groups; group++) {
    const members = values.subarray(group * GROUP, (group + 1) * GROUP);
    const step =
      members.reduce((largest, value) => Math.max(largest, Math.abs(value)), SMALLEST) / MOST_STEPS;
    let sum = 0;
    members.forEach((value, k) => {
      const steps = Math.round(value / step);
      const high = Math.round(steps / LOW_STEPS);
      const place = placeOfHigh(group, k, K);
      digits[place] = high;
      digits[place + K] = steps - high * LOW_STEPS;
      sum += steps;
    });
    totals.set([step, 7 * step * sum], group * 2);
  }
  return { codes: new Uint32Array(digits.buffer), totals };
}

/** The values [rows, K] that digits stand for, and 7 times the sum of each group. */
export function decodeInt8(
  { codes, totals }: Int8Arrays,
  K: number,
): {
  values: Float32Array<ArrayBuffer>;
  sevenfoldSums: Float32Array<ArrayBuffer>;
} {
  const digits = new Int8Array(codes.buffer, codes.byteOffset, codes.byteLength);
  const values = new Float32Array(codes.byteLength / 2).map((_, index) => {
    const group = Math.floor(index / GROUP);
    const place = placeOfHigh(group, index % GROUP, K);
    return totals[group * 2] * (digits[place] * LOW_STEPS + digits[place + K]);
  });
  return { values, sevenfoldSums: totals.filter((_, index) => index % 2 === 1) };
}

/** What is left of values [rows, K] after `encodeInt8`. */
export function roundToInt8Digits(values: Float32Array): Float32Array<ArrayBuffer> {
  // The order of rows does not matter here.
  return decodeInt8(encodeInt8(values, values.length), values.length).values;
}

/** Byte of a value's high digit, `group` counted over all rows; its low digit lies two planes of K / 2 bytes on. */
function placeOfHigh(group: number, k: number, K: number): number {
  const row = Math.floor(group / (K / GROUP));
  const inRow = group % (K / GROUP);
  // A plane is K / 2 bytes; word j of a vector holds the even, or the odd, ones of the eight values 8j..8j+7.
  const plane = k % 2;
  return row * 2 * K + plane * (K / 2) + inRow * 16 + Math.floor(k / 8) * 4 + Math.floor((k % 8) / 2);
}
