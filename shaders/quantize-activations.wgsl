// Rows of f32 activations as int8 digits (preludes/emit-int8.wgsl); one invocation for eight values.

override GROUPS: u32;

@group(0) @binding(0) var<storage, read> x: array<vec4f>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(local_invocation_index) index: u32) {
  let is_valid = id.x < GROUPS * 4u;
  var a = vec4f(0);
  var b = vec4f(0);
  if (is_valid) {
    let place = (id.y * GROUPS * 4u + id.x) * 2u;
    a = x[place];
    b = x[place + 1u];
  }
  emit_octet(id.y, GROUPS, id.x, a, b, index, is_valid);
}
