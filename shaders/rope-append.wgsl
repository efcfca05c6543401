// Adds the qkv bias, rotates q and k, writes q to its buffer and k, v to the KV cache.
// One invocation takes four neighbouring values, which the cache stores together (preludes/append-quad.wgsl).
// Sine and cosine come from a table [position, pair]: WGSL's own lose precision for large angles.

override H: u32;
override KV: u32;
override D: u32;
override ROTARY_PAIRS: u32;
override TIME_PAIRS: u32;
override ROW_PAIRS: u32;
override CONTEXT: u32;

@group(0) @binding(0) var<storage, read> qkv: array<vec4f>;
@group(0) @binding(1) var<storage, read> bias: array<vec4f>;
@group(0) @binding(2) var<storage, read> rope: array<vec2f>;
@group(0) @binding(3) var<storage, read> rows: array<Row>;
@group(0) @binding(4) var<storage, read_write> q: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> keys: array<CacheQuad>;
@group(0) @binding(6) var<storage, read_write> values: array<CacheQuad>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let width = (H + 2u * KV) * (D / 4u);
  if (id.x >= width) {
    return;
  }
  append_quad(id.y, id.x, qkv[id.y * width + id.x] + bias[id.x]);
}
