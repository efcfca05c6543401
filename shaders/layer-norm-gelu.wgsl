// x[t] = gelu((x[t] - mean) * rsqrt(variance + EPSILON) * weight + bias), in place, with the exact (erf) GELU.

override C: u32;
override EPSILON: f32;

@group(0) @binding(0) var<storage, read_write> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> weight: array<vec4f>;
@group(0) @binding(2) var<storage, read> bias: array<vec4f>;

// Complementary error function by a Chebyshev fit with a relative error below 1.2e-7 for all z >= 0
// (Press et al., Numerical Recipes, 6.2). The often used Abramowitz-Stegun 7.1.26 bounds only the absolute
// error, which GELU's tail would show.
fn erfc_positive(z: f32) -> f32 {
  let t = 1.0 / (1.0 + 0.5 * z);
  var p = 0.17087277;
  p = p * t - 0.82215223;
  p = p * t + 1.48851587;
  p = p * t - 1.13520398;
  p = p * t + 0.27886807;
  p = p * t - 0.18628806;
  p = p * t + 0.09678418;
  p = p * t + 0.37409196;
  p = p * t + 1.00002368;
  p = p * t - 1.26551223;
  return t * exp(-z * z + p);
}

fn gelu(value: f32) -> f32 {
  let tail = 0.5 * erfc_positive(abs(value) * 0.70710678118);
  return value * select(tail, 1.0 - tail, value >= 0.0);
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) index: u32) {
  let first = workgroup.x * (C / 4u);
  var sum = 0f;
  for (var i = index; i < C / 4u; i += WORKGROUP) {
    sum += dot(x[first + i], vec4f(1));
  }
  let mean = reduce_sum(sum, index) / f32(C);
  var squares = 0f;
  for (var i = index; i < C / 4u; i += WORKGROUP) {
    let centred = x[first + i] - mean;
    squares += dot(centred, centred);
  }
  let scale = inverseSqrt(reduce_sum(squares, index) / f32(C) + EPSILON);
  for (var i = index; i < C / 4u; i += WORKGROUP) {
    let value = (x[first + i] - mean) * scale * weight[i] + bias[i];
    x[first + i] = vec4f(gelu(value.x), gelu(value.y), gelu(value.z), gelu(value.w));
  }
}
