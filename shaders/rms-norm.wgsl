// y[t] = x[t] * rsqrt(mean(x[t]^2) + EPSILON) * weight
// One workgroup a row. With MERGE > 1 the output interleaves MERGE consecutive rows by channel
// ([T / MERGE, C, MERGE]): the operand order of the 2x2 downsampling convolution.

override C: u32;
override EPSILON: f32;
override MERGE: u32 = 1u;

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> weight: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) index: u32) {
  let row = workgroup.x;
  let first = row * (C / 4u);
  var squares = 0f;
  for (var i = index; i < C / 4u; i += WORKGROUP) {
    let value = x[first + i];
    squares += dot(value, value);
  }
  let scale = inverseSqrt(reduce_sum(squares, index) / f32(C) + EPSILON);
  let output = (row / MERGE) * C * MERGE + row % MERGE;
  for (var i = index; i < C / 4u; i += WORKGROUP) {
    let value = x[first + i] * scale * weight[i];
    for (var lane = 0u; lane < 4u; lane++) {
      y[output + (i * 4u + lane) * MERGE] = value[lane];
    }
  }
}
