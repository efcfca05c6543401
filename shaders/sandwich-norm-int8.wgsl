// sandwich-norm whose output goes out as int8 digits for the next product: hidden[t] += rms(x[t]) * post_weight,
// then y[t] = rms(hidden[t]) * pre_weight. An invocation takes eight neighbouring values, ITEMS times.

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
  var values: array<vec4f, ITEMS * 2u>;
  var residual: array<vec4f, ITEMS * 2u>;
  var post: array<vec4f, ITEMS * 2u>;
  var pre: array<vec4f, ITEMS * 2u>;
  var squares = 0f;
  // Everything is on its way before the first sum waits.
  for (var item = 0u; item < ITEMS; item++) {
    let i = (index + item * WORKGROUP) * 2u;
    if (i < quads) {
      for (var half = 0u; half < 2u; half++) {
        let place = item * 2u + half;
        values[place] = x[first + i + half];
        residual[place] = hidden[first + i + half];
        post[place] = post_weight[i + half];
        pre[place] = pre_weight[i + half];
        squares += dot(values[place], values[place]);
      }
    }
  }
  let post_scale = rms_scale(squares, index);
  squares = 0f;
  for (var item = 0u; item < ITEMS; item++) {
    let i = (index + item * WORKGROUP) * 2u;
    if (i < quads) {
      for (var half = 0u; half < 2u; half++) {
        let place = item * 2u + half;
        values[place] = residual[place] + values[place] * post_scale * post[place];
        hidden[first + i + half] = values[place];
        squares += dot(values[place], values[place]);
      }
    }
  }
  let pre_scale = rms_scale(squares, index);
  for (var item = 0u; item < ITEMS; item++) {
    let octet = index + item * WORKGROUP;
    let a = values[item * 2u] * pre_scale * pre[item * 2u];
    let b = values[item * 2u + 1u] * pre_scale * pre[item * 2u + 1u];
    emit_octet(workgroup.x, C / 32u, octet, a, b, index, octet * 2u < quads);
  }
}
