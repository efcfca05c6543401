// Attention of many queries over a key/value cache, one tile of 64 queries of one head a workgroup.
// Scores never leave the workgroup: tiles of 32 keys are folded into running maxima and sums (online
// softmax), so memory does not grow with the number of keys. Causal for text, full for vision.
// Each of the 64 invocations keeps blocks of 8 queries x 4 keys of the scores, then 8 queries x 4 dimensions
// of the output; in between it owns the softmax of one query.

override H: u32;
override KV: u32;
// Positions that a slot of the cache holds; 0 for a cache as long as the rows of this step.
override CONTEXT: u32;
override SCALE: f32;
override CAUSAL: bool;

@group(0) @binding(0) var<storage, read> q: array<vec4f>;
@group(0) @binding(1) var<storage, read> keys: array<CacheQuad>;
@group(0) @binding(2) var<storage, read> values: array<CacheQuad>;
@group(0) @binding(3) var<storage, read_write> output: array<vec4f>;

const QUERIES = 64u;
const KEYS = 32u;
// Dimensions are taken 32 at a time: 8 vectors.
const CHUNK = 8u;
const CHUNKS = (D4 + CHUNK - 1u) / CHUNK;
const MASKED = -3e38;

// Four neighbouring queries in a vec4: first q [32 dimensions][QUERIES / 4], then scores [KEYS][QUERIES / 4].
var<workgroup> query_tile: array<vec4f, KEYS * QUERIES / 4u>;
// Keys [32 dimensions][KEYS / 4], four neighbouring keys in a vec4; values [KEYS][CHUNK].
var<workgroup> kv_tile: array<vec4f, KEYS * CHUNK>;
// Maxima and sums of a quarter of the keys: [4][QUERIES / 4].
var<workgroup> parts: array<vec4f, QUERIES>;
// By how much the older sums of a query shrink.
var<workgroup> decays: array<vec4f, QUERIES / 4u>;

// Column i holds columns[i] * lanes.
fn outer(columns: vec4f, lanes: vec4f) -> mat4x4f {
  return mat4x4f(columns.x * lanes, columns.y * lanes, columns.z * lanes, columns.w * lanes);
}

fn scale_columns(block: mat4x4f, factors: vec4f) -> mat4x4f {
  return mat4x4f(block[0] * factors.x, block[1] * factors.y, block[2] * factors.z, block[3] * factors.w);
}

fn load_queries(first_query: u32, head: u32, chunk: u32, i: u32) {
  let quad = i % 16u;
  let d = chunk * CHUNK + i / 16u;
  var block = mat4x4f();
  for (var j = 0u; j < 4u; j++) {
    let query = first_query + quad * 4u + j;
    if (d < D4 && query < step.row_count) {
      block[j] = q[(query * H + head) * D4 + d];
    }
  }
  let turned = transpose(block);
  for (var j = 0u; j < 4u; j++) {
    query_tile[((i / 16u) * 4u + j) * 16u + quad] = turned[j];
  }
}

fn load_keys(cache: u32, first_key: u32, key_count: u32, chunk: u32, i: u32) {
  let quad = i % 8u;
  let d = chunk * CHUNK + i / 8u;
  var block = mat4x4f();
  for (var j = 0u; j < 4u; j++) {
    let key = first_key + quad * 4u + j;
    if (d < D4 && key < key_count) {
      block[j] = unpack_quad(keys[cache + key * D4 + d]);
    }
  }
  let turned = transpose(block);
  for (var j = 0u; j < 4u; j++) {
    kv_tile[((i / 8u) * 4u + j) * 8u + quad] = turned[j];
  }
}

fn load_values(cache: u32, first_key: u32, key_count: u32, chunk: u32, index: u32) {
  let d = chunk * CHUNK + index % CHUNK;
  for (var line = index / CHUNK; line < KEYS; line += 8u) {
    var value = vec4f(0);
    if (d < D4 && first_key + line < key_count) {
      value = unpack_quad(values[cache + (first_key + line) * D4 + d]);
    }
    kv_tile[line * CHUNK + index % CHUNK] = value;
  }
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) index: u32) {
  let first_query = workgroup.x * QUERIES;
  let head = workgroup.y;
  let context = select(CONTEXT, step.row_count, CONTEXT == 0u);
  let cache = (step.slot * KV + head / (H / KV)) * context * D4;
  let last_query = min(first_query + QUERIES, step.row_count) - 1u;
  let key_count = select(step.row_count, step.cache_start + last_query + 1u, CAUSAL);
  // For softmax an invocation owns 4 queries x 8 keys.
  let quad = index % 16u;
  let part = index / 16u;
  let own_position = vec4u(step.cache_start + first_query + quad * 4u) + vec4u(0u, 1u, 2u, 3u);
  let last_keys = select(vec4u(key_count - 1u), own_position, CAUSAL);
  let line = index / 8u;
  let column = index % 8u;
  // Per chunk: queries 4 line .. + 3, then queries 32 + 4 line .. + 3; a column for each query.
  var sums: array<mat4x4f, CHUNKS * 2u>;
  var best = vec4f(MASKED);
  var total = vec4f(0);

  for (var first_key = 0u; first_key < key_count; first_key += KEYS) {
    // Zeros are written out: a declaration alone does not clear a matrix again in the next round (seen on
    // Dawn with SwiftShader).
    var scores0 = mat4x4f();
    var scores1 = mat4x4f();
    for (var chunk = 0u; chunk < CHUNKS; chunk++) {
      load_keys(cache, first_key, key_count, chunk, index);
      for (var i = index; i < 128u; i += 64u) {
        load_queries(first_query, head, chunk, i);
      }
      workgroupBarrier();
      for (var d = 0u; d < 32u; d++) {
        let key_values = kv_tile[d * 8u + column];
        scores0 += outer(key_values, query_tile[d * 16u + line]);
        scores1 += outer(key_values, query_tile[d * 16u + 8u + line]);
      }
      workgroupBarrier();
    }
    for (var j = 0u; j < 4u; j++) {
      query_tile[(column * 4u + j) * 16u + line] = scores0[j] * SCALE;
      query_tile[(column * 4u + j) * 16u + 8u + line] = scores1[j] * SCALE;
    }
    load_values(cache, first_key, key_count, 0u, index);
    workgroupBarrier();

    var scores: array<vec4f, 8>;
    var part_best = best;
    for (var j = 0u; j < 8u; j++) {
      let key = first_key + part * 8u + j;
      let score = query_tile[(part * 8u + j) * 16u + quad];
      scores[j] = select(vec4f(MASKED), score, vec4u(key) <= last_keys);
      part_best = max(part_best, scores[j]);
    }
    parts[index] = part_best;
    workgroupBarrier();
    let new_best = max(max(parts[quad], parts[16u + quad]), max(parts[32u + quad], parts[48u + quad]));
    let decay = exp(best - new_best);
    best = new_best;
    total *= decay;
    for (var j = 0u; j < 8u; j++) {
      let share = exp(scores[j] - best);
      query_tile[(part * 8u + j) * 16u + quad] = share;
      total += share;
    }
    decays[quad] = decay;
    workgroupBarrier();

    for (var chunk = 0u; chunk < CHUNKS; chunk++) {
      if (chunk > 0u) {
        load_values(cache, first_key, key_count, chunk, index);
        workgroupBarrier();
      }
      var sums0 = scale_columns(sums[chunk * 2u], decays[line]);
      var sums1 = scale_columns(sums[chunk * 2u + 1u], decays[8u + line]);
      for (var key = 0u; key < KEYS; key++) {
        let value = kv_tile[key * CHUNK + column];
        sums0 += outer(query_tile[key * 16u + line], value);
        sums1 += outer(query_tile[key * 16u + 8u + line], value);
      }
      sums[chunk * 2u] = sums0;
      sums[chunk * 2u + 1u] = sums1;
      workgroupBarrier();
    }
  }

  parts[index] = total;
  workgroupBarrier();
  for (var i = 0u; i < CHUNKS * 2u; i++) {
    let d = (i / 2u) * CHUNK + column;
    let output_quad = (i % 2u) * 8u + line;
    let whole =
      parts[output_quad] + parts[16u + output_quad] + parts[32u + output_quad] + parts[48u + output_quad];
    var block = sums[i];
    for (var j = 0u; j < 4u; j++) {
      let query = first_query + output_quad * 4u + j;
      if (d < D4 && query < step.row_count) {
        output[(query * H + head) * D4 + d] = block[j] / whole[j];
      }
    }
  }
}
