/** CPU twin of `preludes/emit-int8.wgsl`: what the digits of each group of 32 values stand for. */
export function roundToInt8Digits(values: Float32Array): Float32Array {
  const rounded = new Float32Array(values.length);
  for (let first = 0; first < values.length; first += 32) {
    const group = values.subarray(first, first + 32);
    const scale = group.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0) / 127;
    if (scale === 0) continue;
    group.forEach((value, index) => {
      const high = Math.round(value / scale);
      const low = Math.round((value / scale - high) * 254);
      rounded[first + index] = scale * (high + low / 254);
    });
  }
  return rounded;
}

/** The values that codes and totals stand for: [rows, K], and 7 times the sum of each group. */
export function decodeInt8(
  codes: Uint32Array,
  totals: Float32Array,
): { values: Float32Array; sevenfoldSums: Float32Array } {
  const groups = totals.length / 2;
  const digits = new Int8Array(codes.buffer, codes.byteOffset, codes.byteLength);
  const values = new Float32Array(groups * 32);
  for (let group = 0; group < groups; group++) {
    for (let k = 0; k < 32; k++) {
      // Word 2j holds the even, word 2j + 1 the odd ones of the eight values 8j..8j+7.
      const word = Math.floor(k / 8) * 2 + (k % 2);
      const byte = word * 4 + Math.floor((k % 8) / 2);
      const high = digits[group * 64 + byte];
      const low = digits[group * 64 + 32 + byte];
      values[group * 32 + k] = totals[group * 2] * (high + low / 254);
    }
  }
  return { values, sevenfoldSums: totals.filter((_, index) => index % 2 === 1) };
}
