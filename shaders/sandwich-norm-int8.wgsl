// sandwich-norm whose output goes out as int8 digits for the next product: hidden[t] += rms(x[t]) * post_weight,
// then y[t] = rms(hidden[t]) * pre_weight.

override C: u32;
override EPSILON: f32;

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> post_weight: array<vec4f>;
@group(0) @binding(2) var<storage, read> pre_weight: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> hidden: array<vec4f>;

fn rms_scale(squares: f32, index: u32) -> f32 {
  return inverseSqrt(reduce_sum(squares, index) / f32(C) + EPSILON);
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) index: u32) {
  let quads = C / 4u;
  let first = workgroup.x * quads;
  var values: array<vec4f, ITEMS>;
  var squares = 0f;
  for (var item = 0u; item < ITEMS; item++) {
    let i = index + item * WORKGROUP;
    if (i < quads) {
      values[item] = x[first + i];
      squares += dot(values[item], values[item]);
    }
  }
  let post_scale = rms_scale(squares, index);
  squares = 0f;
  for (var item = 0u; item < ITEMS; item++) {
    let i = index + item * WORKGROUP;
    if (i < quads) {
      values[item] = hidden[first + i] + values[item] * post_scale * post_weight[i];
      hidden[first + i] = values[item];
      squares += dot(values[item], values[item]);
    }
  }
  let pre_scale = rms_scale(squares, index);
  for (var item = 0u; item < ITEMS; item++) {
    let i = index + item * WORKGROUP;
    let is_valid = i < quads;
    var value = vec4f(0);
    if (is_valid) {
      value = values[item] * pre_scale * pre_weight[i];
    }
    emit_quad(first + i, value, index, is_valid);
  }
}
