// Adds the qkv bias, rotates q and k, writes q to its buffer and k, v to the KV cache.
// Pairs are neighbouring dimensions (x[2j], x[2j + 1]): GPT-J order; one invocation takes two of them, which
// the cache stores together. The first 2 * ROTARY_PAIRS dimensions of a head rotate, each pair by the position
// axis of its M-RoPE section.
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

fn position_of(pair: u32, position: vec3u) -> u32 {
  if (pair < TIME_PAIRS) { return position.x; }
  return select(position.z, position.y, pair < TIME_PAIRS + ROW_PAIRS);
}

fn rotate(value: vec2f, pair: u32, position: vec3u) -> vec2f {
  if (pair >= ROTARY_PAIRS) { return value; }
  let turn = rope[position_of(pair, position) * ROTARY_PAIRS + pair];
  return vec2f(value.x * turn.x - value.y * turn.y, value.y * turn.x + value.x * turn.y);
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let quads = D / 4u;
  let width = (H + 2u * KV) * quads;
  if (id.x >= width) {
    return;
  }
  let row = rows[id.y];
  let head = id.x / quads;
  let quad = id.x % quads;
  var value = qkv[id.y * width + id.x] + bias[id.x];
  if (head < H + KV) {
    value = vec4f(
      rotate(value.xy, quad * 2u, row.position),
      rotate(value.zw, quad * 2u + 1u, row.position),
    );
  }
  if (head < H) {
    q[id.y * H * quads + id.x] = value;
    return;
  }
  let is_key = head < H + KV;
  let kv_head = head - select(H + KV, H, is_key);
  let target_index = ((row.slot * KV + kv_head) * CONTEXT + row.cache_index) * quads + quad;
  if (is_key) {
    keys[target_index] = pack_quad(value);
  } else {
    values[target_index] = pack_quad(value);
  }
}
