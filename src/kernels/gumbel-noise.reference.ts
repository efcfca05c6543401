/** CPU twin of `gumbel_noise` in `preludes/sampler.wgsl`, in double precision after the integer hash. */
export function gumbelNoiseReference(
  [low, high]: readonly [number, number],
  counter: number,
  id: number,
): number {
  const bits = hash(low, high, counter, id);
  const u = (bits + 0.5) / 2 ** 32;
  return -Math.log(-Math.log1p(-u));
}

/** First word of PCG4D. */
function hash(...input: readonly [number, number, number, number]): number {
  let [x, y, z, w] = input.map((word) => (Math.imul(word, 1664525) + 1013904223) | 0) as Quad;
  [x, y, z, w] = mix(x, y, z, w);
  [x, y, z, w] = [x ^ (x >>> 16), y ^ (y >>> 16), z ^ (z >>> 16), w ^ (w >>> 16)];
  return mix(x, y, z, w)[0] >>> 0;
}

type Quad = [number, number, number, number];

/** All four words change at once, as a vector statement of the shader does. */
function mix(x: number, y: number, z: number, w: number): Quad {
  return [
    (x + Math.imul(y, w)) | 0,
    (y + Math.imul(z, x)) | 0,
    (z + Math.imul(x, y)) | 0,
    (w + Math.imul(y, z)) | 0,
  ];
}
