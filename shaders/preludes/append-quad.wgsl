// Where four neighbouring outputs of the qkv product go: M-RoPE for q and k, q to its buffer, k and v to the KV cache.
// Pairs are neighbouring dimensions (x[2j], x[2j + 1]): GPT-J order; the first 2 * ROTARY_PAIRS dimensions of a head
// rotate, each pair by the position axis of its M-RoPE section.
// Expects: H, KV, D, ROTARY_PAIRS, TIME_PAIRS, ROW_PAIRS, CONTEXT; the buffers rope, rows, q, keys and values; a cache
// prelude.

fn position_of(pair: u32, position: vec3u) -> u32 {
  if (pair < TIME_PAIRS) { return position.x; }
  return select(position.z, position.y, pair < TIME_PAIRS + ROW_PAIRS);
}

fn rotate(value: vec2f, pair: u32, position: vec3u) -> vec2f {
  if (pair >= ROTARY_PAIRS) { return value; }
  let turn = rope[position_of(pair, position) * ROTARY_PAIRS + pair];
  return vec2f(value.x * turn.x - value.y * turn.y, value.y * turn.x + value.x * turn.y);
}

// `place` is the quad's index in a row of outputs, `sums` its product with the bias added.
fn append_quad(row_index: u32, place: u32, sums: vec4f) {
  let quads = D / 4u;
  let row = rows[row_index];
  let head = place / quads;
  let quad = place % quads;
  var value = sums;
  if (head < H + KV) {
    value = vec4f(
      rotate(value.xy, quad * 2u, row.position),
      rotate(value.zw, quad * 2u + 1u, row.position),
    );
  }
  if (head < H) {
    q[row_index * H * quads + place] = value;
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
