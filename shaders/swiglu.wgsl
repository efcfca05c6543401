// y[t, f] = silu(x[t, f]) * x[t, F + f]: gate and up projections side by side in x.

override F: u32;

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let width = F / 4u;
  if (id.x >= width) {
    return;
  }
  let gate = x[id.y * width * 2u + id.x];
  let up = x[id.y * width * 2u + width + id.x];
  y[id.y * width + id.x] = gate / (1.0 + exp(-gate)) * up;
}
