/** CPU twin of `rms-norm.wgsl`: x [rows, C] and weight [C] to [rows / merge, C, merge]. */
export function rmsNormReference(
  x: Float32Array,
  weight: Float32Array,
  { C, epsilon, merge = 1 }: { C: number; epsilon: number; merge?: number },
): Float32Array {
  const y = new Float32Array(x.length);
  for (let row = 0; row < x.length / C; row++) {
    let squares = 0;
    for (let c = 0; c < C; c++) squares += x[row * C + c] ** 2;
    const scale = 1 / Math.sqrt(squares / C + epsilon);
    const first = Math.floor(row / merge) * C * merge + (row % merge);
    for (let c = 0; c < C; c++) y[first + c * merge] = x[row * C + c] * scale * weight[c];
  }
  return y;
}
