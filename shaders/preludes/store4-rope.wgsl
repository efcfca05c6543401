// Four neighbouring outputs of the qkv product: bias, M-RoPE, q to its buffer, k and v to the KV cache.
// The same as rope-append.wgsl without the way through memory; two pairs of dimensions at a time.

override H: u32;
override KV: u32;
override D: u32;
override ROTARY_PAIRS: u32;
override TIME_PAIRS: u32;
override ROW_PAIRS: u32;
override CONTEXT: u32;

@group(0) @binding(3) var<storage, read> bias: array<vec2f>;
@group(0) @binding(4) var<storage, read> rope: array<vec2f>;
@group(0) @binding(5) var<storage, read> rows: array<Row>;
@group(0) @binding(6) var<storage, read_write> q: array<vec2f>;
@group(0) @binding(8) var<storage, read_write> keys: array<CachePair>;
@group(0) @binding(10) var<storage, read_write> values: array<CachePair>;

fn position_of(pair: u32, position: vec3u) -> u32 {
  if (pair < TIME_PAIRS) { return position.x; }
  return select(position.z, position.y, pair < TIME_PAIRS + ROW_PAIRS);
}

fn store_pair(column: u32, place: u32, product: vec2f) {
  let pairs = D / 2u;
  let row = rows[column];
  let head = place / pairs;
  let pair = place % pairs;
  var value = product + bias[place];
  if (head < H + KV && pair < ROTARY_PAIRS) {
    let turn = rope[position_of(pair, row.position) * ROTARY_PAIRS + pair];
    value = vec2f(value.x * turn.x - value.y * turn.y, value.y * turn.x + value.x * turn.y);
  }
  if (head < H) {
    q[column * H * pairs + place] = value;
    return;
  }
  let is_key = head < H + KV;
  let kv_head = head - select(H + KV, H, is_key);
  let output = ((row.slot * KV + kv_head) * CONTEXT + row.cache_index) * pairs + pair;
  if (is_key) {
    keys[output] = pack_pair(value);
  } else {
    values[output] = pack_pair(value);
  }
}

// Y_OFFSET and N are even: parts of the weight are cut between pairs.
fn store4(column: u32, n: u32, products: vec4f) {
  let place = (Y_OFFSET + n) / 2u;
  store_pair(column, place, products.xy);
  // The second pair may lie past the part's end, in the next part or in another slot of the cache.
  if (n + 2u < N) {
    store_pair(column, place + 1u, products.zw);
  }
}
