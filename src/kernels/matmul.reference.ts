/** CPU twin of `matmul.wgsl`: x [rows, K], weight [N, K] and bias [N] to [rows, N], summed in f64. */
export function matmulReference(
  x: Float32Array,
  weight: Float32Array,
  { N, K, bias }: { N: number; K: number; bias?: Float32Array },
): Float32Array {
  const rows = x.length / K;
  const y = new Float32Array(rows * N);
  for (let row = 0; row < rows; row++) {
    for (let n = 0; n < N; n++) {
      let sum = bias?.[n] ?? 0;
      for (let k = 0; k < K; k++) sum += x[row * K + k] * weight[n * K + k];
      y[row * N + n] = sum;
    }
  }
  return y;
}
