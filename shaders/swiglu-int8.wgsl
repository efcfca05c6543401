// silu(x[t, f]) * x[t, F + f], as int8 digits for the next product.

override F: u32;

@group(0) @binding(0) var<storage, read> x: array<vec4f>;

fn activate(gate: vec4f, up: vec4f) -> vec4f {
  return gate / (1.0 + exp(-gate)) * up;
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(local_invocation_index) index: u32) {
  let width = F / 4u;
  let is_valid = id.x < width / 2u;
  var a = vec4f(0);
  var b = vec4f(0);
  if (is_valid) {
    let gate = id.y * width * 2u + id.x * 2u;
    a = activate(x[gate], x[gate + width]);
    b = activate(x[gate + 1u], x[gate + 1u + width]);
  }
  emit_octet(id.y, F / 32u, id.x, a, b, index, is_valid);
}
