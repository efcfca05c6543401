// Attention of many queries over a key/value cache: attention-tile.wgsl in larger tiles, for GPUs, and heads of 128
// dimensions. A workgroup takes 16 LINES queries of one head and keys by 64; each of its 16 LINES invocations keeps 8 queries x 8 keys of the scores, then 16 queries x 8 dimensions of the output, so that a
// vector from workgroup memory feeds 16 to 21 products.

override H: u32;
override KV: u32;
// Positions that a slot of the cache holds; 0 for a cache as long as the rows of this step.
override CONTEXT: u32;
// Factor of the scores, with log2(e) in it: softmax takes powers of 2.
override SCALE: f32;
override CAUSAL: bool;

@group(0) @binding(0) var<storage, read> q: array<vec4f>;
@group(0) @binding(1) var<storage, read> keys: array<CacheQuad>;
@group(0) @binding(2) var<storage, read> values: array<CacheQuad>;
@group(0) @binding(3) var<storage, read_write> output: array<vec4f>;

const WORKGROUP = 16u * LINES;
const QUERIES = 16u * LINES;
const KEYS = 64u;
// Dimensions, queries and keys in fours.
const D4 = 32u;
const Q_QUADS = 4u * LINES;
const K_QUADS = 16u;
const MASKED = -3e38;

// First q [32 dimensions][Q_QUADS], then shares of the keys [KEYS][Q_QUADS]: four neighbouring queries in a vec4.
// Remainders by constants keep indices in bounds where the compiler can see it, which spares a comparison an access.
var<workgroup> query_tile: array<vec4f, KEYS * Q_QUADS>;
// First keys [32 dimensions][K_QUADS], four neighbouring keys in a vec4; then maxima of a quarter of the keys
// [4][Q_QUADS] and by how much the older sums of a query shrink [Q_QUADS]; then values [16 keys][D4].
var<workgroup> cache_tile: array<vec4f, 512>;
const DECAYS = WORKGROUP;

// Four columns (queries) of four lanes (keys, or dimensions).
fn add_outer(block: mat4x4f, columns: vec4f, lanes: vec4f) -> mat4x4f {
  return mat4x4f(
    fma(vec4f(columns.x), lanes, block[0]),
    fma(vec4f(columns.y), lanes, block[1]),
    fma(vec4f(columns.z), lanes, block[2]),
    fma(vec4f(columns.w), lanes, block[3]),
  );
}

fn scale_columns(block: mat4x4f, factors: vec4f) -> mat4x4f {
  return mat4x4f(block[0] * factors.x, block[1] * factors.y, block[2] * factors.z, block[3] * factors.w);
}


fn query_at(query: u32, head: u32, d: u32) -> vec4f {
  return q[(min(query, step.row_count - 1u) * H + head) * D4 + d];
}

// Four queries at four dimensions; item i of 32 LINES. A quad's place is turned, so that the lanes that fill different
// dimensions at once hit different banks.
fn load_queries(first_query: u32, head: u32, chunk: u32, i: u32) {
  let d_quad = i % 8u;
  let quad = i / 8u;
  let d = chunk * 8u + d_quad;
  let query = first_query + quad * 4u;
  let turned = transpose(mat4x4f(
    query_at(query, head, d), query_at(query + 1u, head, d),
    query_at(query + 2u, head, d), query_at(query + 3u, head, d),
  ));
  let place = d_quad * 4u * Q_QUADS + (quad ^ d_quad) % 32u;
  query_tile[place] = turned[0];
  query_tile[place + Q_QUADS] = turned[1];
  query_tile[place + 2u * Q_QUADS] = turned[2];
  query_tile[place + 3u * Q_QUADS] = turned[3];
}

fn key_at(cache: u32, key: u32, last_key: u32, d: u32) -> vec4f {
  return unpack_quad(keys[cache + min(key, last_key) * D4 + d]);
}

// Four keys at four dimensions; item i of 128.
fn load_keys(cache: u32, first_key: u32, last_key: u32, chunk: u32, i: u32) {
  let d_quad = i % 8u;
  let quad = i / 8u;
  let d = chunk * 8u + d_quad;
  let key = first_key + quad * 4u;
  let turned = transpose(mat4x4f(
    key_at(cache, key, last_key, d), key_at(cache, key + 1u, last_key, d),
    key_at(cache, key + 2u, last_key, d), key_at(cache, key + 3u, last_key, d),
  ));
  let place = d_quad * 4u * K_QUADS + (quad ^ d_quad) % K_QUADS;
  cache_tile[place] = turned[0];
  cache_tile[place + K_QUADS] = turned[1];
  cache_tile[place + 2u * K_QUADS] = turned[2];
  cache_tile[place + 3u * K_QUADS] = turned[3];
}

// Values of 16 keys; a key past the end repeats the last one, and has no share.
fn load_values(cache: u32, first_key: u32, last_key: u32, i: u32) {
  let d = i % 32u;
  let key = min(first_key + i / 32u, last_key);
  cache_tile[i % 512u] = unpack_quad(values[cache + key * D4 + d]);
}

fn put_scores(first: u32, block: mat4x4f) {
  let place = first % (61u * Q_QUADS);
  let turned = transpose(block);
  query_tile[place] = turned[0];
  query_tile[place + Q_QUADS] = turned[1];
  query_tile[place + 2u * Q_QUADS] = turned[2];
  query_tile[place + 3u * Q_QUADS] = turned[3];
}

fn store4(query: u32, head: u32, column: u32, left: vec4f, right: vec4f) {
  if (query < step.row_count) {
    output[(query * H + head) * D4 + column] = left;
    output[(query * H + head) * D4 + column + 16u] = right;
  }
}

// Sums of a quad's shares, from the four parts of its keys.
fn whole_at(quad: u32) -> vec4f {
  let place = quad % Q_QUADS;
  return cache_tile[place] + cache_tile[Q_QUADS + place] + cache_tile[2u * Q_QUADS + place] + cache_tile[3u * Q_QUADS + place];
}

fn store_quads(query: u32, head: u32, column: u32, left: mat4x4f, right: mat4x4f, whole: vec4f) {
  store4(query, head, column, left[0] / whole.x, right[0] / whole.x);
  store4(query + 1u, head, column, left[1] / whole.y, right[1] / whole.y);
  store4(query + 2u, head, column, left[2] / whole.z, right[2] / whole.z);
  store4(query + 3u, head, column, left[3] / whole.w, right[3] / whole.w);
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) index: u32) {
  let first_query = workgroup.x * QUERIES;
  let head = workgroup.y;
  let context = select(CONTEXT, step.row_count, CONTEXT == 0u);
  let cache = (step.slot * KV + head / (H / KV)) * context * D4;
  let last_query = min(first_query + QUERIES, step.row_count) - 1u;
  let key_count = select(step.row_count, step.cache_start + last_query + 1u, CAUSAL);
  let last_key = key_count - 1u;
  // For softmax an invocation owns 4 queries x 16 keys.
  let quad = index % Q_QUADS;
  let part = index / Q_QUADS;
  let own_position = vec4u(step.cache_start + first_query + quad * 4u) + vec4u(0u, 1u, 2u, 3u);
  let last_keys = select(vec4u(last_key), own_position, CAUSAL);
  // Of the scores an invocation keeps queries 4 s_line .. + 3 and as many on as half the tile has, by keys 4 s_column .. + 3 and 32 on.
  let s_line = index / 8u;
  let s_column = index % 8u;
  // Of the output: queries 4 line .. + 3 and one, two and three quarters of the tile on, by dimensions 4 column .. + 3 and 64 on.
  // Where they can, 32 neighbouring invocations cover 4 x 8 blocks, which reads the fewest different vectors.
  let is_square = LINES % 4u == 0u;
  let line = select(index / 16u, (index / 64u) * 4u + (index % 32u) / 8u, is_square);
  let column = select(index % 16u, ((index / 32u) % 2u) * 8u + index % 8u, is_square);
  var a0 = mat4x4f();
  var a1 = mat4x4f();
  var b0 = mat4x4f();
  var b1 = mat4x4f();
  var c0 = mat4x4f();
  var c1 = mat4x4f();
  var d0 = mat4x4f();
  var d1 = mat4x4f();
  var best = vec4f(MASKED);
  var total = vec4f(0);

  for (var first_key = 0u; first_key < key_count; first_key += KEYS) {
    // Zeros are written out: a declaration alone does not clear a matrix again in the next round (seen on
    // Dawn with SwiftShader).
    var s00 = mat4x4f();
    var s01 = mat4x4f();
    var s10 = mat4x4f();
    var s11 = mat4x4f();
    for (var chunk = 0u; chunk < 4u; chunk++) {
      for (var i = index; i < 128u; i += WORKGROUP) {
        load_keys(cache, first_key, last_key, chunk, i);
      }
      load_queries(first_query, head, chunk, index);
      load_queries(first_query, head, chunk, index + WORKGROUP);
      workgroupBarrier();
      for (var d_quad = 0u; d_quad < 8u; d_quad++) {
        for (var i = 0u; i < 4u; i++) {
          let q_first = (d_quad * 4u + i) * Q_QUADS;
          let k_first = (d_quad * 4u + i) * K_QUADS;
          let key0 = cache_tile[k_first + (s_column ^ d_quad) % 8u];
          let key1 = cache_tile[k_first + 8u + (s_column ^ d_quad) % 8u];
          let query0 = query_tile[q_first + (s_line ^ d_quad) % 32u];
          let query1 = query_tile[q_first + ((s_line + 2u * LINES) ^ d_quad) % 32u];
          s00 = add_outer(s00, query0, key0);
          s01 = add_outer(s01, query0, key1);
          s10 = add_outer(s10, query1, key0);
          s11 = add_outer(s11, query1, key1);
        }
      }
      workgroupBarrier();
    }
    put_scores(s_column * 4u * Q_QUADS + s_line, s00);
    put_scores((s_column * 4u + 32u) * Q_QUADS + s_line, s01);
    put_scores(s_column * 4u * Q_QUADS + 2u * LINES + s_line, s10);
    put_scores((s_column * 4u + 32u) * Q_QUADS + 2u * LINES + s_line, s11);
    workgroupBarrier();
    var part_best = best;
    for (var j = 0u; j < 16u; j++) {
      let key = first_key + part * 16u + j;
      let score = query_tile[(part * 16u + j) * Q_QUADS + quad] * SCALE;
      part_best = max(part_best, select(vec4f(MASKED), score, vec4u(key) <= last_keys));
    }
    cache_tile[index] = part_best;
    workgroupBarrier();
    let new_best = max(max(cache_tile[quad], cache_tile[Q_QUADS + quad]), max(cache_tile[2u * Q_QUADS + quad], cache_tile[3u * Q_QUADS + quad]));
    let decay = exp2(best - new_best);
    best = new_best;
    total *= decay;
    for (var j = 0u; j < 16u; j++) {
      let key = first_key + part * 16u + j;
      let place = (part * 16u + j) * Q_QUADS + quad;
      let score = select(vec4f(MASKED), query_tile[place] * SCALE, vec4u(key) <= last_keys);
      let share = exp2(score - best);
      query_tile[place] = share;
      total += share;
    }
    if (part == 0u) {
      cache_tile[DECAYS + quad] = decay;
    }
    workgroupBarrier();
    let decay0 = cache_tile[DECAYS + line];
    let decay1 = cache_tile[DECAYS + LINES + line];
    let decay2 = cache_tile[DECAYS + 2u * LINES + line];
    let decay3 = cache_tile[DECAYS + 3u * LINES + line];
    a0 = scale_columns(a0, decay0);
    a1 = scale_columns(a1, decay0);
    b0 = scale_columns(b0, decay1);
    b1 = scale_columns(b1, decay1);
    c0 = scale_columns(c0, decay2);
    c1 = scale_columns(c1, decay2);
    d0 = scale_columns(d0, decay3);
    d1 = scale_columns(d1, decay3);
    for (var part_key = 0u; part_key < KEYS; part_key += 16u) {
      workgroupBarrier();
      for (var i = index; i < 512u; i += WORKGROUP) {
        load_values(cache, first_key + part_key, last_key, i);
      }
      workgroupBarrier();
      for (var key = 0u; key < 16u; key++) {
        let value0 = cache_tile[key * 32u + column];
        let value1 = cache_tile[key * 32u + 16u + column];
        let place = (part_key + key) * Q_QUADS + line;
        let share0 = query_tile[place];
        let share1 = query_tile[place + LINES];
        let share2 = query_tile[place + 2u * LINES];
        let share3 = query_tile[place + 3u * LINES];
        a0 = add_outer(a0, share0, value0);
        a1 = add_outer(a1, share0, value1);
        b0 = add_outer(b0, share1, value0);
        b1 = add_outer(b1, share1, value1);
        c0 = add_outer(c0, share2, value0);
        c1 = add_outer(c1, share2, value1);
        d0 = add_outer(d0, share3, value0);
        d1 = add_outer(d1, share3, value1);
      }
    }
    workgroupBarrier();
  }
  cache_tile[index] = total;
  workgroupBarrier();
  let w0 = whole_at(line + 0u * LINES);
  let w1 = whole_at(line + 1u * LINES);
  let w2 = whole_at(line + 2u * LINES);
  let w3 = whole_at(line + 3u * LINES);
  let query = first_query + line * 4u;
  store_quads(query, head, column, a0, a1, w0);
  store_quads(query + 4u * LINES, head, column, b0, b1, w1);
  store_quads(query + 8u * LINES, head, column, c0, c1, w2);
  store_quads(query + 12u * LINES, head, column, d0, d1, w3);
}
