// hidden[t] += x[t], then y[t] = rms(hidden[t]) * weight. The vision tower's residual and next norm.
// With MERGE > 1, y interleaves MERGE consecutive rows by channel ([T / MERGE, C, MERGE]): the operand
// order of the downsampling convolution.

override C: u32;
override EPSILON: f32;
override MERGE: u32 = 1u;

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> weight: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> hidden: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) index: u32) {
  let row = workgroup.x;
  let first = row * (C / 4u);
  var squares = 0f;
  for (var i = index; i < C / 4u; i += WORKGROUP) {
    let value = hidden[first + i] + x[first + i];
    hidden[first + i] = value;
    squares += dot(value, value);
  }
  let scale = inverseSqrt(reduce_sum(squares, index) / f32(C) + EPSILON);
  let output = (row / MERGE) * C * MERGE + row % MERGE;
  for (var i = index; i < C / 4u; i += WORKGROUP) {
    let value = hidden[first + i] * scale * weight[i];
    for (var lane = 0u; lane < 4u; lane++) {
      y[output + (i * 4u + lane) * MERGE] = value[lane];
    }
  }
}
