/** CPU twin of `swiglu.wgsl`: x [rows, 2 F], gate then up, to silu(gate) * up [rows, F]. */
export function swigluReference(x: Float32Array, F: number): Float32Array {
  const y = new Float32Array(x.length / 2);
  for (let i = 0; i < y.length; i++) {
    const first = Math.floor(i / F) * 2 * F + (i % F);
    const gate = x[first];
    y[i] = (gate / (1 + Math.exp(-gate))) * x[first + F];
  }
  return y;
}
