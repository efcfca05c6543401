/**
 * CPU twin of `layer-norm-gelu.wgsl`: x [rows, C], weight and bias [C] to gelu(layer norm) [rows, C], in f64,
 * with GELU's definition x * (1 + erf(x / sqrt 2)) / 2.
 */
export function layerNormGeluReference(
  x: Float32Array,
  weight: Float32Array,
  bias: Float32Array,
  { C, epsilon }: { C: number; epsilon: number },
): Float32Array {
  const y = new Float32Array(x.length);
  for (let first = 0; first < x.length; first += C) {
    const row = Float64Array.from(x.subarray(first, first + C));
    const mean = row.reduce((sum, value) => sum + value) / C;
    const variance = row.reduce((sum, value) => sum + (value - mean) ** 2, 0) / C;
    row.forEach((value, c) => {
      y[first + c] = geluReference(((value - mean) / Math.sqrt(variance + epsilon)) * weight[c] + bias[c]);
    });
  }
  return y;
}

/** The exact GELU, accurate in the tail as well: x * erfc(-x / sqrt 2) / 2. */
export function geluReference(x: number): number {
  return (x * complementaryError(-x / Math.SQRT2)) / 2;
}

/** erfc in f64: its Taylor series near zero, its continued fraction beyond. */
function complementaryError(z: number): number {
  if (z < 0) return 2 - complementaryError(-z);
  if (z < 2.5) return 1 - errorSeries(z);
  let fraction = z;
  for (let k = 80; k > 0; k--) fraction = z + k / 2 / fraction;
  return Math.exp(-z * z) / Math.sqrt(Math.PI) / fraction;
}

function errorSeries(z: number): number {
  let term = z;
  let sum = z;
  for (let n = 1; n < 80; n++) {
    term *= -(z * z) / n;
    sum += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
}
