// silu(x[t, f]) * x[t, F + f], as int8 digits for the next product; one invocation a group of 32.

override F: u32;

@group(0) @binding(0) var<storage, read> x: array<vec4f>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let groups = F / 32u;
  if (id.x >= groups) {
    return;
  }
  let first = (id.y * 2u * groups + id.x) * 8u;
  var values: array<vec4f, 8>;
  for (var i = 0u; i < 8u; i++) {
    let gate = x[first + i];
    values[i] = gate / (1.0 + exp(-gate)) * x[first + groups * 8u + i];
  }
  emit_group(id.y * groups + id.x, values);
}
