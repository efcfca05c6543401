// Attention of many queries over a key/value cache: attention-tile.wgsl in larger tiles, for GPUs, and heads of 128
// dimensions. A workgroup takes 8 LINES queries of one head and keys by 64; each of its 16 LINES invocations keeps
// 8 queries x 4 keys of the scores, then 8 queries x 8 dimensions of the output: few enough registers that several
// workgroups share a processor, and one computes while others wait.

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
const QUERIES = 8u * LINES;
const KEYS = 64u;
// Dimensions, queries and keys in fours.
const D4 = 32u;
const Q_QUADS = 2u * LINES;
const K_QUADS = 16u;
const MASKED = -3e38;

// First q [32 dimensions][Q_QUADS], then shares of the keys [KEYS][Q_QUADS]: four neighbouring queries in a vec4.
// Remainders by constants keep indices in bounds where the compiler can see it, which spares a comparison an access.
var<workgroup> query_tile: array<vec4f, KEYS * Q_QUADS>;
// First keys [32 dimensions][K_QUADS], four neighbouring keys in a vec4; then maxima of an eighth of the keys
// [8][Q_QUADS] and by how much the older sums of a query shrink [Q_QUADS]; then values [16 keys][D4].
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
  return q[(min(query, step.row_count - 1u) * H + head) * D4 + d] * SCALE;
}

// Four queries at four dimensions, one for each invocation. A quad's place is turned, so that the lanes that fill
// different dimensions at once hit different banks.
fn load_queries(first_query: u32, head: u32, chunk: u32, i: u32) {
  let d_quad = i % 8u;
  let quad = i / 8u;
  let d = chunk * 8u + d_quad;
  let query = first_query + quad * 4u;
  let turned = transpose(mat4x4f(
    query_at(query, head, d), query_at(query + 1u, head, d),
    query_at(query + 2u, head, d), query_at(query + 3u, head, d),
  ));
  let place = d_quad * 4u * Q_QUADS + (quad ^ d_quad) % Q_QUADS;
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

fn largest_at(quad: u32) -> vec4f {
  let place = quad % Q_QUADS;
  return max(
    max(max(cache_tile[place], cache_tile[Q_QUADS + place]), max(cache_tile[2u * Q_QUADS + place], cache_tile[3u * Q_QUADS + place])),
    max(max(cache_tile[4u * Q_QUADS + place], cache_tile[5u * Q_QUADS + place]), max(cache_tile[6u * Q_QUADS + place], cache_tile[7u * Q_QUADS + place])),
  );
}

// Sums of a quad's shares, from the eight parts of its keys.
fn whole_at(quad: u32) -> vec4f {
  let place = quad % Q_QUADS;
  return cache_tile[place] + cache_tile[Q_QUADS + place] + cache_tile[2u * Q_QUADS + place] + cache_tile[3u * Q_QUADS + place]
    + cache_tile[4u * Q_QUADS + place] + cache_tile[5u * Q_QUADS + place] + cache_tile[6u * Q_QUADS + place] + cache_tile[7u * Q_QUADS + place];
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
  // Keys that every query of the workgroup sees.
  let whole_count = select(key_count, step.cache_start + first_query + 1u, CAUSAL);
  // For softmax an invocation owns 4 queries x 8 keys.
  let quad = index % Q_QUADS;
  let part = index / Q_QUADS;
  let own_position = vec4u(step.cache_start + first_query + quad * 4u) + vec4u(0u, 1u, 2u, 3u);
  let last_keys = select(vec4u(last_key), own_position, CAUSAL);
  // Of the scores an invocation keeps queries 4 line .. + 3 and as many half a tile on, by keys 4 column .. + 3; of the
  // output the same queries by dimensions 4 column .. + 3 and 64 on.
  // 32 neighbouring invocations cover 4 x 8 blocks, which reads the fewest different vectors.
  let line = (index / 64u) * 4u + (index % 32u) / 8u;
  let column = ((index / 32u) % 2u) * 8u + index % 8u;
  var a0 = mat4x4f();
  var a1 = mat4x4f();
  var b0 = mat4x4f();
  var b1 = mat4x4f();
  var best = vec4f(MASKED);
  var total = vec4f(0);

  for (var first_key = 0u; first_key < key_count; first_key += KEYS) {
    // Zeros are written out: a declaration alone does not clear a matrix again in the next round (seen on
    // Dawn with SwiftShader).
    var s0 = mat4x4f();
    var s1 = mat4x4f();
    for (var chunk = 0u; chunk < 4u; chunk++) {
      for (var i = index; i < 128u; i += WORKGROUP) {
        load_keys(cache, first_key, last_key, chunk, i);
      }
      load_queries(first_query, head, chunk, index);
      workgroupBarrier();
      for (var d_quad = 0u; d_quad < 8u; d_quad++) {
        let q_quad = d_quad * 4u * Q_QUADS + (line ^ d_quad) % LINES;
        let k_quad = d_quad * 4u * K_QUADS + (column ^ d_quad) % K_QUADS;
        for (var i = 0u; i < 4u; i++) {
          let key = cache_tile[k_quad + i * K_QUADS];
          s0 = add_outer(s0, query_tile[q_quad + i * Q_QUADS], key);
          s1 = add_outer(s1, query_tile[q_quad + i * Q_QUADS + LINES], key);
        }
      }
      workgroupBarrier();
    }
    put_scores(column * 4u * Q_QUADS + line, s0);
    put_scores(column * 4u * Q_QUADS + LINES + line, s1);
    workgroupBarrier();
    let own = (part * 8u) % KEYS * Q_QUADS + quad;
    if (first_key + KEYS > whole_count) {
      for (var j = 0u; j < 8u; j++) {
        let key = first_key + part * 8u + j;
        query_tile[own + j * Q_QUADS] = select(vec4f(MASKED), query_tile[own + j * Q_QUADS], vec4u(key) <= last_keys);
      }
    }
    var part_best = best;
    for (var j = 0u; j < 8u; j++) {
      part_best = max(part_best, query_tile[own + j * Q_QUADS]);
    }
    cache_tile[index] = part_best;
    workgroupBarrier();
    let new_best = largest_at(quad);
    let decay = exp2(best - new_best);
    best = new_best;
    total *= decay;
    for (var j = 0u; j < 8u; j++) {
      let share = exp2(query_tile[own + j * Q_QUADS] - best);
      query_tile[own + j * Q_QUADS] = share;
      total += share;
    }
    if (part == 0u) {
      cache_tile[DECAYS + quad] = decay;
    }
    workgroupBarrier();
    let decay0 = cache_tile[DECAYS + line];
    let decay1 = cache_tile[DECAYS + LINES + line];
    a0 = scale_columns(a0, decay0);
    a1 = scale_columns(a1, decay0);
    b0 = scale_columns(b0, decay1);
    b1 = scale_columns(b1, decay1);
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
        a0 = add_outer(a0, share0, value0);
        a1 = add_outer(a1, share0, value1);
        b0 = add_outer(b0, share1, value0);
        b1 = add_outer(b1, share1, value1);
      }
    }
    workgroupBarrier();
  }
  cache_tile[index] = total;
  workgroupBarrier();
  let query = first_query + line * 4u;
  store_quads(query, head, column, a0, a1, whole_at(line));
  store_quads(query + 4u * LINES, head, column, b0, b1, whole_at(line + LINES));
}
