// The end of decode-layer for every layer but the last: norms, then the next layer's qkv product with bias and M-RoPE,
// q to its buffer, k and v to the next layer's cache.

@group(0) @binding(7) var<storage, read_write> hidden_out: array<vec4f>;
@group(0) @binding(8) var<storage, read> rope: array<vec2f>;
@group(0) @binding(9) var<storage, read_write> q: array<vec4f>;
@group(0) @binding(10) var<storage, read_write> keys: array<CacheQuad>;
@group(0) @binding(11) var<storage, read_write> values: array<CacheQuad>;

fn finish(workgroup: u32, post_mlp: Octet, next_norm: Octet, index: u32) {
  let block = block_of(QKV, QKV_BLOCK, workgroup);
  let qkv = Rows(QKV_WEIGHT, QKV_SCALE, C_GROUPS, LANES_C, block.x, block.y, block.y, 0u);
  let first = load_quad(qkv, true, 0u, index);
  sandwich(REDUCED, post_mlp, next_norm, index);
  if (workgroup == 0u && index < C_OCTETS) {
    hidden_out[index * 2u] = residual.a;
    hidden_out[index * 2u + 1u] = residual.b;
  }
  multiply(qkv, true, first, index);
  for (var quad = index; quad < block.y / 4u; quad += WORKGROUP) {
    append(block.x / 4u + quad, vec4f(
      row_total(quad * 4u, LANES_C),
      row_total(quad * 4u + 1u, LANES_C),
      row_total(quad * 4u + 2u, LANES_C),
      row_total(quad * 4u + 3u, LANES_C),
    ));
  }
}

// `place` is a quad of the qkv product's outputs.
fn append(place: u32, products: vec4f) {
  let quads = D / 4u;
  let row = rows[0];
  let head = place / quads;
  let quad = place % quads;
  var value = products + bitcast<vec4f>(next[QKV_BIAS + place]);
  if (head < H + KV) {
    value = vec4f(
      rotate(value.xy, quad * 2u, row.position),
      rotate(value.zw, quad * 2u + 1u, row.position),
    );
  }
  if (head < H) {
    q[place] = value;
    return;
  }
  let is_key = head < H + KV;
  let kv_head = head - select(H + KV, H, is_key);
  let output = ((row.slot * KV + kv_head) * CONTEXT + row.cache_index) * quads + quad;
  if (is_key) {
    keys[output] = pack_quad(value);
  } else {
    values[output] = pack_quad(value);
  }
}

fn position_of(pair: u32, position: vec3u) -> u32 {
  if (pair < TIME_PAIRS) { return position.x; }
  return select(position.z, position.y, pair < TIME_PAIRS + ROW_PAIRS);
}

fn rotate(value: vec2f, pair: u32, position: vec3u) -> vec2f {
  if (pair >= ROTARY_PAIRS) { return value; }
  let turn = rope[position_of(pair, position) * ROTARY_PAIRS + pair];
  return vec2f(value.x * turn.x - value.y * turn.y, value.y * turn.x + value.x * turn.y);
}
