// Rows of f32 activations as int8 digits (preludes/emit-int8.wgsl); one invocation a group of 32.

override GROUPS: u32;

@group(0) @binding(0) var<storage, read> x: array<vec4f>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= GROUPS) {
    return;
  }
  let group = id.y * GROUPS + id.x;
  var values: array<vec4f, 8>;
  for (var i = 0u; i < 8u; i++) {
    values[i] = x[group * 8u + i];
  }
  emit_group(group, values);
}
