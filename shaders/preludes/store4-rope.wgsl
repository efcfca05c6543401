// Four neighbouring outputs of the qkv product: bias, M-RoPE, q to its buffer, k and v to the KV cache.
// The same as rope-append.wgsl without the way through memory.

override H: u32;
override KV: u32;
override D: u32;
override ROTARY_PAIRS: u32;
override TIME_PAIRS: u32;
override ROW_PAIRS: u32;
override CONTEXT: u32;

@group(0) @binding(3) var<storage, read> bias: array<vec4f>;
@group(0) @binding(4) var<storage, read> rope: array<vec2f>;
@group(0) @binding(5) var<storage, read> rows: array<Row>;
@group(0) @binding(6) var<storage, read_write> q: array<vec4f>;
@group(0) @binding(8) var<storage, read_write> keys: array<CacheQuad>;
@group(0) @binding(10) var<storage, read_write> values: array<CacheQuad>;

fn position_of(pair: u32, position: vec3u) -> u32 {
  if (pair < TIME_PAIRS) { return position.x; }
  return select(position.z, position.y, pair < TIME_PAIRS + ROW_PAIRS);
}

fn rotate(value: vec2f, pair: u32, position: vec3u) -> vec2f {
  if (pair >= ROTARY_PAIRS) { return value; }
  let turn = rope[position_of(pair, position) * ROTARY_PAIRS + pair];
  return vec2f(value.x * turn.x - value.y * turn.y, value.y * turn.x + value.x * turn.y);
}

// Y_OFFSET, n and N are multiples of 4: parts of the weight are cut between quads.
fn store4(column: u32, n: u32, products: vec4f) {
  let quads = D / 4u;
  let place = (Y_OFFSET + n) / 4u;
  let row = rows[column];
  let head = place / quads;
  let quad = place % quads;
  var value = products + bias[place];
  if (head < H + KV) {
    value = vec4f(
      rotate(value.xy, quad * 2u, row.position),
      rotate(value.zw, quad * 2u + 1u, row.position),
    );
  }
  if (head < H) {
    q[column * H * quads + place] = value;
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
