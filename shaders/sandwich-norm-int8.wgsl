// sandwich-norm whose output goes out as int8 digits for the next product: hidden[t] += rms(x[t]) * post_weight,
// then y[t] = rms(hidden[t]) * pre_weight. An invocation owns whole groups of 32 values, so that the
// rounding needs no second pass.

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
  let groups = C / 32u;
  let first = workgroup.x * groups;
  var values: array<array<vec4f, 8>, ITEMS>;
  var squares = 0f;
  for (var item = 0u; item < ITEMS; item++) {
    let group = index + item * WORKGROUP;
    for (var i = 0u; i < 8u && group < groups; i++) {
      let value = x[(first + group) * 8u + i];
      values[item][i] = value;
      squares += dot(value, value);
    }
  }
  let post_scale = rms_scale(squares, index);
  squares = 0f;
  for (var item = 0u; item < ITEMS; item++) {
    let group = index + item * WORKGROUP;
    for (var i = 0u; i < 8u && group < groups; i++) {
      let place = (first + group) * 8u + i;
      let value = hidden[place] + values[item][i] * post_scale * post_weight[group * 8u + i];
      hidden[place] = value;
      values[item][i] = value;
      squares += dot(value, value);
    }
  }
  let pre_scale = rms_scale(squares, index);
  for (var item = 0u; item < ITEMS; item++) {
    let group = index + item * WORKGROUP;
    if (group < groups) {
      for (var i = 0u; i < 8u; i++) {
        values[item][i] *= pre_scale * pre_weight[group * 8u + i];
      }
      emit_group(first + group, values[item]);
    }
  }
}
