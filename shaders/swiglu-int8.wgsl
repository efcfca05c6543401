// silu(x[t, f]) * x[t, F + f], as int8 digits for the next product.

override F: u32;

@group(0) @binding(0) var<storage, read> x: array<vec4f>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(local_invocation_index) index: u32) {
  let width = F / 4u;
  let is_valid = id.x < width;
  var value = vec4f(0);
  if (is_valid) {
    let gate = x[id.y * width * 2u + id.x];
    value = gate / (1.0 + exp(-gate)) * x[id.y * width * 2u + width + id.x];
  }
  emit_quad(id.y * width + id.x, value, index, is_valid);
}
