/** Largest digit of a value. */
const MOST = 63;

/**
 * CPU twin of `preludes/cache-q8.wgsl`: each four neighbouring values become a word of four 7-bit digits and
 * their exponent.
 */
export function packQ8Reference(values: Float32Array): Uint32Array<ArrayBuffer> {
  return Uint32Array.from({ length: values.length / 4 }, (_, i) =>
    packQuad(values.subarray(i * 4, i * 4 + 4)),
  );
}

/** The numbers that such words stand for. */
export function unpackQ8Reference(words: Uint32Array): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length: words.length * 4 }, (_, i) => {
    const word = words[i >> 2];
    const digit = ((word << (25 - 7 * (i & 3))) | 0) >> 25;
    return digit * 2 ** ((word >>> 28) - 11);
  });
}

function packQuad(quad: Float32Array): number {
  const largest = Math.max(...quad.map(Math.abs));
  // largest < 2^x, as small as can be
  const x = largest === 0 ? -126 : Math.floor(Math.log2(largest)) + 1;
  const exponent = Math.min(15, Math.max(0, x + 5));
  let word = exponent << 28;
  quad.forEach((value, j) => {
    const digit = Math.min(MOST, Math.max(-MOST, roundHalfEven(value * 2 ** (11 - exponent))));
    word |= (digit & 127) << (7 * j);
  });
  return word >>> 0;
}

function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  if (value - floor !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}
