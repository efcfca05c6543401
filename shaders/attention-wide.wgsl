// Attention of many queries over a key/value cache: attention-tile.wgsl in larger tiles, for GPUs, and heads of 128
// dimensions. A workgroup takes 64 queries of one head and keys by 128; each of its 128 invocations keeps 8 queries x
// 8 keys of the scores in registers, where softmax is taken as well, and 8 queries x 8 dimensions of the output.
// The output is only brought to a new maximum when that has risen by more than 2^RISE: shares may grow to that.
// Sixteen dimensions of queries and keys, then eight keys' values, come from memory while those before are multiplied.
// All that takes turns in 24 KiB of workgroup memory: drivers have been seen to share out 48 KiB of a processor, so that
// two workgroups run at once and one multiplies while the other waits.

override H: u32;
override KV: u32;
// Positions that a slot of the cache holds; 0 for a cache as long as the rows of this step.
override CONTEXT: u32;
// Factor of the scores, with log2(e) in it: softmax takes powers of 2.
override SCALE: f32;
override CAUSAL: bool;

@group(0) @binding(0) var<storage, read> q: array<vec4f>;
// Eight neighbouring values.
@group(0) @binding(1) var<storage, read> keys: array<CacheOctet>;
@group(0) @binding(2) var<storage, read> values: array<CacheOctet>;
@group(0) @binding(3) var<storage, read_write> output: array<vec4f>;

const QUERIES = 64u;
const KEYS = 128u;
// Dimensions in fours and eights.
const D4 = 32u;
const D8 = 16u;
// Queries, and keys, in fours: neighbours share a vec4.
const Q_QUADS = 16u;
const K_QUADS = 32u;
// Dimensions of a step of the scores, and keys of a step of the output.
const DEPTH = 16u;
const VALUES = 8u;
const MASKED = -3e38;
const RISE = 8.0;

// First two steps of keys [2][DEPTH][K_QUADS] and, from SECOND on, of queries [2][DEPTH][Q_QUADS]; then shares of half of
// the keys [KEYS / 2][Q_QUADS] and, from SECOND on, two steps of values [2][VALUES][D4].
// Remainders by constants keep indices in bounds where the compiler can see it, which spares a comparison an access.
var<workgroup> tiles: array<vec4f, SECOND + 2u * VALUES * D4>;
const SECOND = KEYS / 2u * Q_QUADS;
// Says, between keys and shares, whether a maximum has risen too far: where the last step of keys is not.
const RISES = 0u;

// Eight queries (columns) by eight keys or dimensions (lanes): the lower and the upper four of each.
struct Block {
  low_low: mat4x4f,
  low_high: mat4x4f,
  high_low: mat4x4f,
  high_high: mat4x4f,
}

fn add_outer(block: mat4x4f, columns: vec4f, lanes: vec4f) -> mat4x4f {
  return mat4x4f(
    fma(vec4f(columns.x), lanes, block[0]),
    fma(vec4f(columns.y), lanes, block[1]),
    fma(vec4f(columns.z), lanes, block[2]),
    fma(vec4f(columns.w), lanes, block[3]),
  );
}

fn add_product(block: ptr<function, Block>, low: vec4f, high: vec4f, low_lanes: vec4f, high_lanes: vec4f) {
  (*block).low_low = add_outer((*block).low_low, low, low_lanes);
  (*block).low_high = add_outer((*block).low_high, low, high_lanes);
  (*block).high_low = add_outer((*block).high_low, high, low_lanes);
  (*block).high_high = add_outer((*block).high_high, high, high_lanes);
}

fn scale_columns(block: mat4x4f, factors: vec4f) -> mat4x4f {
  return mat4x4f(block[0] * factors.x, block[1] * factors.y, block[2] * factors.z, block[3] * factors.w);
}

// What an invocation brings from memory for a step of the scores: eight dimensions of two keys, 64 apart, and four of two
// queries, 32 apart.
struct Stage {
  low_key: CacheOctet,
  high_key: CacheOctet,
  low_query: vec4f,
  high_query: vec4f,
}

// A quad's place is turned by the dimension, so that the lanes that write different ones at once hit different banks.
fn put(stage: ptr<function, Stage>, half: u32, index: u32) {
  let key_lane = (index / 2u) % 4u;
  let key_place = (half % 2u) * DEPTH * K_QUADS + index % 2u * 8u * K_QUADS + ((index / 8u) ^ (index % 2u * 4u)) % 16u;
  let low_key = unpack_octet((*stage).low_key);
  let high_key = unpack_octet((*stage).high_key);
  tiles[key_place][key_lane] = low_key[0].x;
  tiles[key_place + K_QUADS][key_lane] = low_key[0].y;
  tiles[key_place + 2u * K_QUADS][key_lane] = low_key[0].z;
  tiles[key_place + 3u * K_QUADS][key_lane] = low_key[0].w;
  tiles[key_place + 4u * K_QUADS][key_lane] = low_key[1].x;
  tiles[key_place + 5u * K_QUADS][key_lane] = low_key[1].y;
  tiles[key_place + 6u * K_QUADS][key_lane] = low_key[1].z;
  tiles[key_place + 7u * K_QUADS][key_lane] = low_key[1].w;
  tiles[key_place + 16u][key_lane] = high_key[0].x;
  tiles[key_place + K_QUADS + 16u][key_lane] = high_key[0].y;
  tiles[key_place + 2u * K_QUADS + 16u][key_lane] = high_key[0].z;
  tiles[key_place + 3u * K_QUADS + 16u][key_lane] = high_key[0].w;
  tiles[key_place + 4u * K_QUADS + 16u][key_lane] = high_key[1].x;
  tiles[key_place + 5u * K_QUADS + 16u][key_lane] = high_key[1].y;
  tiles[key_place + 6u * K_QUADS + 16u][key_lane] = high_key[1].z;
  tiles[key_place + 7u * K_QUADS + 16u][key_lane] = high_key[1].w;
  let query_lane = (index / 4u) % 4u;
  let query_place = SECOND + (half % 2u) * DEPTH * Q_QUADS + index % 4u * 4u * Q_QUADS + ((index / 16u) ^ (index % 4u * 2u)) % 8u;
  let low_query = (*stage).low_query * SCALE;
  let high_query = (*stage).high_query * SCALE;
  tiles[query_place][query_lane] = low_query.x;
  tiles[query_place + Q_QUADS][query_lane] = low_query.y;
  tiles[query_place + 2u * Q_QUADS][query_lane] = low_query.z;
  tiles[query_place + 3u * Q_QUADS][query_lane] = low_query.w;
  tiles[query_place + 8u][query_lane] = high_query.x;
  tiles[query_place + Q_QUADS + 8u][query_lane] = high_query.y;
  tiles[query_place + 2u * Q_QUADS + 8u][query_lane] = high_query.z;
  tiles[query_place + 3u * Q_QUADS + 8u][query_lane] = high_query.w;
}

// A key past the end repeats the last one, and has no share.
fn value_at(cache: u32, key: u32, last_key: u32, index: u32) -> CacheOctet {
  return values[cache + min(key + index / D8, last_key) * D8 + index % D8];
}

fn put_value(value: CacheOctet, half: u32, index: u32) {
  let place = SECOND + (half % 2u) * VALUES * D4 + (index / D8) % VALUES * D4 + (index % D8) * 2u;
  let octet = unpack_octet(value);
  tiles[place] = octet[0];
  tiles[place + 1u] = octet[1];
}

// Shares of the keys 4 column .. + 3. A quad of queries is turned by the key, so that the lanes that write at once hit
// different banks.
fn put_shares(line: u32, column: u32, low: mat4x4f, high: mat4x4f) {
  let place = (column % 16u) * 4u * Q_QUADS + (line + 2u * column) % 8u;
  let low_turned = transpose(low);
  let high_turned = transpose(high);
  tiles[place] = low_turned[0];
  tiles[place + 8u] = high_turned[0];
  tiles[place + Q_QUADS] = low_turned[1];
  tiles[place + Q_QUADS + 8u] = high_turned[1];
  tiles[place + 2u * Q_QUADS] = low_turned[2];
  tiles[place + 2u * Q_QUADS + 8u] = high_turned[2];
  tiles[place + 3u * Q_QUADS] = low_turned[3];
  tiles[place + 3u * Q_QUADS + 8u] = high_turned[3];
}

fn mask(block: mat4x4f, first_key: u32, last: vec4u) -> mat4x4f {
  let key = vec4u(first_key) + vec4u(0u, 1u, 2u, 3u);
  return mat4x4f(
    select(vec4f(MASKED), block[0], key <= vec4u(last.x)),
    select(vec4f(MASKED), block[1], key <= vec4u(last.y)),
    select(vec4f(MASKED), block[2], key <= vec4u(last.z)),
    select(vec4f(MASKED), block[3], key <= vec4u(last.w)),
  );
}

fn largest(v: vec4f) -> f32 {
  return max(max(v.x, v.y), max(v.z, v.w));
}

fn largest_columns(a: mat4x4f, b: mat4x4f) -> vec4f {
  return vec4f(
    largest(max(a[0], b[0])), largest(max(a[1], b[1])), largest(max(a[2], b[2])), largest(max(a[3], b[3])),
  );
}

fn sum(v: vec4f) -> f32 {
  return v.x + v.y + v.z + v.w;
}

fn sum_columns(a: mat4x4f, b: mat4x4f) -> vec4f {
  return vec4f(sum(a[0] + b[0]), sum(a[1] + b[1]), sum(a[2] + b[2]), sum(a[3] + b[3]));
}

fn shares_of(block: mat4x4f, best: vec4f) -> mat4x4f {
  return mat4x4f(exp2(block[0] - best.x), exp2(block[1] - best.y), exp2(block[2] - best.z), exp2(block[3] - best.w));
}

fn store_quad(query: u32, head: u32, column: u32, left: mat4x4f, right: mat4x4f, whole: vec4f) {
  for (var i = 0u; i < 4u; i++) {
    if (query + i < step.row_count) {
      let place = ((query + i) * H + head) * D4 + column;
      output[place] = left[i] / whole[i];
      output[place + 16u] = right[i] / whole[i];
    }
  }
}

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) index: u32) {
  // Causal: the last queries see the most keys and begin first, so that no long work is left alone at the end.
  let tile = select(workgroup.x, (step.row_count - 1u) / QUERIES - workgroup.x, CAUSAL);
  let first_query = tile * QUERIES;
  let head = workgroup.y;
  let context = select(CONTEXT, step.row_count, CONTEXT == 0u);
  let cache = (step.slot * KV + head / (H / KV)) * context * D8;
  let last_query = min(first_query + QUERIES, step.row_count) - 1u;
  let key_count = select(step.row_count, step.cache_start + last_query + 1u, CAUSAL);
  let last_key = key_count - 1u;
  // Keys that every query of the workgroup sees.
  let whole_count = select(key_count, step.cache_start + first_query + 1u, CAUSAL);
  // Queries 4 line .. + 3 and 32 on; keys 4 column .. + 3 and 64 on; dimensions 4 column .. + 3 and 64 on.
  // 32 neighbouring invocations cover 4 x 8 blocks, which reads the fewest different vectors.
  let line = ((index / 64u) * 4u + ((index / 16u) % 2u) * 2u + index % 2u) % 8u;
  let column = (((index / 32u) % 2u) * 8u + (index / 2u) % 8u) % 16u;
  let own_position = vec4u(step.cache_start + first_query + line * 4u) + vec4u(0u, 1u, 2u, 3u);
  let last_low = select(vec4u(last_key), own_position, CAUSAL);
  let last_high = select(vec4u(last_key), own_position + 32u, CAUSAL);
  let fetched_query = first_query + index / 4u;
  let low_row = (min(fetched_query, step.row_count - 1u) * H + head) * D4 + index % 4u;
  let high_row = (min(fetched_query + 32u, step.row_count - 1u) * H + head) * D4 + index % 4u;
  var sums = Block();
  var best_low = vec4f(MASKED);
  var best_high = vec4f(MASKED);
  var total_low = vec4f(0);
  var total_high = vec4f(0);

  for (var first_key = 0u; first_key < key_count; first_key += KEYS) {
    var scores = Block();
    let low_key = cache + min(first_key + index / 2u, last_key) * D8 + index % 2u;
    let high_key = cache + min(first_key + 64u + index / 2u, last_key) * D8 + index % 2u;
    var stage = Stage(keys[low_key], keys[high_key], q[low_row], q[high_row]);
    put(&stage, 0u, index);
    workgroupBarrier();
    for (var chunk = 0u; chunk < D8 / 2u; chunk++) {
      let next = min(chunk + 1u, D8 / 2u - 1u);
      stage = Stage(
        keys[low_key + next * 2u], keys[high_key + next * 2u], q[low_row + next * 4u], q[high_row + next * 4u],
      );
      let a = SECOND + (chunk % 2u) * DEPTH * Q_QUADS;
      let b = (chunk % 2u) * DEPTH * K_QUADS;
      // Written out: the compiler of a driver does not unroll so much.
      let a0 = a + line;
      let b0 = b + column;
      add_product(&scores, tiles[a0], tiles[a0 + 8u], tiles[b0], tiles[b0 + 16u]);
      add_product(&scores, tiles[a0 + 16u], tiles[a0 + 24u], tiles[b0 + 32u], tiles[b0 + 48u]);
      add_product(&scores, tiles[a0 + 32u], tiles[a0 + 40u], tiles[b0 + 64u], tiles[b0 + 80u]);
      add_product(&scores, tiles[a0 + 48u], tiles[a0 + 56u], tiles[b0 + 96u], tiles[b0 + 112u]);
      let a1 = a + 64u + (line ^ 2u) % 8u;
      add_product(&scores, tiles[a1], tiles[a1 + 8u], tiles[b0 + 128u], tiles[b0 + 144u]);
      add_product(&scores, tiles[a1 + 16u], tiles[a1 + 24u], tiles[b0 + 160u], tiles[b0 + 176u]);
      add_product(&scores, tiles[a1 + 32u], tiles[a1 + 40u], tiles[b0 + 192u], tiles[b0 + 208u]);
      add_product(&scores, tiles[a1 + 48u], tiles[a1 + 56u], tiles[b0 + 224u], tiles[b0 + 240u]);
      let a2 = a + 128u + (line ^ 4u) % 8u;
      let b2 = b + 256u + (column ^ 4u) % 16u;
      add_product(&scores, tiles[a2], tiles[a2 + 8u], tiles[b2], tiles[b2 + 16u]);
      add_product(&scores, tiles[a2 + 16u], tiles[a2 + 24u], tiles[b2 + 32u], tiles[b2 + 48u]);
      add_product(&scores, tiles[a2 + 32u], tiles[a2 + 40u], tiles[b2 + 64u], tiles[b2 + 80u]);
      add_product(&scores, tiles[a2 + 48u], tiles[a2 + 56u], tiles[b2 + 96u], tiles[b2 + 112u]);
      let a3 = a + 192u + (line ^ 6u) % 8u;
      add_product(&scores, tiles[a3], tiles[a3 + 8u], tiles[b2 + 128u], tiles[b2 + 144u]);
      add_product(&scores, tiles[a3 + 16u], tiles[a3 + 24u], tiles[b2 + 160u], tiles[b2 + 176u]);
      add_product(&scores, tiles[a3 + 32u], tiles[a3 + 40u], tiles[b2 + 192u], tiles[b2 + 208u]);
      add_product(&scores, tiles[a3 + 48u], tiles[a3 + 56u], tiles[b2 + 224u], tiles[b2 + 240u]);
      if (chunk < D8 / 2u - 1u) {
        put(&stage, chunk + 1u, index);
      } else if (index == 0u) {
        tiles[RISES] = vec4f(0);
      }
      workgroupBarrier();
    }
    var value = value_at(cache, first_key, last_key, index);
    if (first_key + KEYS > whole_count) {
      let key = first_key + column * 4u;
      scores.low_low = mask(scores.low_low, key, last_low);
      scores.low_high = mask(scores.low_high, key + 64u, last_low);
      scores.high_low = mask(scores.high_low, key, last_high);
      scores.high_high = mask(scores.high_high, key + 64u, last_high);
    }
    let own_low = largest_columns(scores.low_low, scores.low_high);
    let own_high = largest_columns(scores.high_low, scores.high_high);
    if (any(own_low > best_low + RISE) || any(own_high > best_high + RISE)) {
      // Whoever writes here writes the same.
      tiles[RISES] = vec4f(1);
    }
    if (workgroupUniformLoad(&tiles[RISES]).x != 0.0) {
      tiles[column * Q_QUADS + line] = own_low;
      tiles[column * Q_QUADS + 8u + line] = own_high;
      workgroupBarrier();
      var new_low = best_low;
      var new_high = best_high;
      for (var i = 0u; i < 16u; i++) {
        new_low = max(new_low, tiles[i * Q_QUADS + line]);
        new_high = max(new_high, tiles[i * Q_QUADS + 8u + line]);
      }
      let decay_low = exp2(best_low - new_low);
      let decay_high = exp2(best_high - new_high);
      best_low = new_low;
      best_high = new_high;
      total_low *= decay_low;
      total_high *= decay_high;
      sums.low_low = scale_columns(sums.low_low, decay_low);
      sums.low_high = scale_columns(sums.low_high, decay_low);
      sums.high_low = scale_columns(sums.high_low, decay_high);
      sums.high_high = scale_columns(sums.high_high, decay_high);
      workgroupBarrier();
    }
    scores.low_low = shares_of(scores.low_low, best_low);
    scores.low_high = shares_of(scores.low_high, best_low);
    scores.high_low = shares_of(scores.high_low, best_high);
    scores.high_high = shares_of(scores.high_high, best_high);
    total_low += sum_columns(scores.low_low, scores.low_high);
    total_high += sum_columns(scores.high_low, scores.high_high);
    put_value(value, 0u, index);
    // Each half of the keys in turn; the upper one may lie behind the last key.
    let parts = select(2u, 1u, first_key + KEYS / 2u >= key_count);
    for (var part = 0u; part < parts; part++) {
      if (part == 0u) {
        put_shares(line, column, scores.low_low, scores.high_low);
      } else {
        put_shares(line, column, scores.low_high, scores.high_high);
      }
      workgroupBarrier();
      for (var chunk = 0u; chunk < 8u; chunk++) {
        value = value_at(cache, first_key + part * 64u + (chunk + 1u) * VALUES, last_key, index);
        let a = chunk * VALUES * Q_QUADS + (line + chunk * 4u) % 8u;
        let c = chunk * VALUES * Q_QUADS + 64u + (line + chunk * 4u + 2u) % 8u;
        let b = SECOND + (chunk % 2u) * VALUES * D4 + column;
        add_product(&sums, tiles[a], tiles[a + 8u], tiles[b], tiles[b + 16u]);
        add_product(&sums, tiles[a + 16u], tiles[a + 24u], tiles[b + 32u], tiles[b + 48u]);
        add_product(&sums, tiles[a + 32u], tiles[a + 40u], tiles[b + 64u], tiles[b + 80u]);
        add_product(&sums, tiles[a + 48u], tiles[a + 56u], tiles[b + 96u], tiles[b + 112u]);
        add_product(&sums, tiles[c], tiles[c + 8u], tiles[b + 128u], tiles[b + 144u]);
        add_product(&sums, tiles[c + 16u], tiles[c + 24u], tiles[b + 160u], tiles[b + 176u]);
        add_product(&sums, tiles[c + 32u], tiles[c + 40u], tiles[b + 192u], tiles[b + 208u]);
        add_product(&sums, tiles[c + 48u], tiles[c + 56u], tiles[b + 224u], tiles[b + 240u]);
        put_value(value, chunk + 1u, index);
        workgroupBarrier();
      }
    }
  }
  tiles[column * Q_QUADS + line] = total_low;
  tiles[column * Q_QUADS + 8u + line] = total_high;
  workgroupBarrier();
  var whole_low = vec4f(0);
  var whole_high = vec4f(0);
  for (var i = 0u; i < 16u; i++) {
    whole_low += tiles[i * Q_QUADS + line];
    whole_high += tiles[i * Q_QUADS + 8u + line];
  }
  let query = first_query + line * 4u;
  store_quad(query, head, column, sums.low_low, sums.low_high, whole_low);
  store_quad(query + 32u, head, column, sums.high_low, sums.high_high, whole_high);
}
