// y[t, n] = sum over k of x[t, k] * weight[n, k] for COLUMNS rows of x (1 to 8): a decode step.
// Bound by reading the weights: each workgroup takes 4 outputs, its invocations stride over K and read
// every weight once for all columns. Sums in f32.

override K: u32;
override N: u32;
override Y_STRIDE: u32;
override Y_OFFSET: u32 = 0u;

@group(0) @binding(0) var<storage, read> x: array<vec4f>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) index: u32) {
  let first_n = workgroup.x * 4u;
  var sums: array<vec4f, COLUMNS>;
  for (var unit = index; unit < K / 8u; unit += WORKGROUP) {
    var weights: array<mat2x4f, 4>;
    for (var i = 0u; i < 4u; i++) {
      // Rows past the end repeat the last one: cheaper than a branch, and never stored.
      weights[i] = weight8(min(first_n + i, N - 1u), unit);
    }
    for (var column = 0u; column < COLUMNS; column++) {
      let low = x[column * (K / 4u) + unit * 2u];
      let high = x[column * (K / 4u) + unit * 2u + 1u];
      sums[column] += vec4f(
        dot(low, weights[0][0]) + dot(high, weights[0][1]),
        dot(low, weights[1][0]) + dot(high, weights[1][1]),
        dot(low, weights[2][0]) + dot(high, weights[2][1]),
        dot(low, weights[3][0]) + dot(high, weights[3][1]),
      );
    }
  }
  for (var column = 0u; column < COLUMNS; column++) {
    let total = reduce_sum4(sums[column], index);
    if (index < 4u && first_n + index < N) {
      store(column, first_n + index, total[index]);
    }
  }
}
