// y[t, n] = sum over k of x[t, k] * weight[n, k] for COLUMNS rows of x (1 to 8): matvec.wgsl for adapters that
// compute on the CPU. Each invocation computes 4 outputs by itself, so that nothing has to be reduced.

override K: u32;
override N: u32;
override Y_STRIDE: u32;
override Y_OFFSET: u32 = 0u;

@group(0) @binding(0) var<storage, read> x: array<vec4f>;

@compute @workgroup_size(16)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let n = id.x * 4u;
  if (n >= N) {
    return;
  }
  var sums = array<vec4f, COLUMNS>();
  for (var unit = 0u; unit < K / 8u; unit++) {
    let outputs = four_outputs(n, unit);
    for (var column = 0u; column < COLUMNS; column++) {
      let first = column * (K / 4u) + unit * 2u;
      sums[column] += outputs.low * x[first] + outputs.high * x[first + 1u];
    }
  }
  for (var column = 0u; column < COLUMNS; column++) {
    for (var i = 0u; i < min(4u, N - n); i++) {
      store(column, n + i, sums[column][i]);
    }
  }
}
