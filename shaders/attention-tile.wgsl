// Attention of many queries over a key/value cache, one tile of 32 queries of one head a workgroup.
// Scores never leave the workgroup: tiles of 32 keys are folded into running maxima and sums (online
// softmax), so memory does not grow with the number of keys. Causal for text, full for vision.

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

const TILE = 32u;
const CHUNK = 8u;
const CHUNKS = (D4 + CHUNK - 1u) / CHUNK;
const MASKED = -3e38;
// A stride of 33 keeps rows of scores in different banks.
const SCORE_STRIDE = 33u;

var<workgroup> q_tile: array<vec4f, TILE * CHUNK>;
var<workgroup> kv_tile: array<vec4f, TILE * CHUNK>;
var<workgroup> scores: array<f32, TILE * SCORE_STRIDE>;
var<workgroup> row_part: array<f32, TILE * 4u>;

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) index: u32) {
  let first_query = workgroup.x * TILE;
  let head = workgroup.y;
  let context = select(CONTEXT, step.row_count, CONTEXT == 0u);
  let cache = (step.slot * KV + head / (H / KV)) * context * D4;
  let last_query = min(first_query + TILE, step.row_count) - 1u;
  let key_count = select(step.row_count, step.cache_start + last_query + 1u, CAUSAL);
  // For scores an invocation owns 2 queries x 4 keys; for softmax and output a quarter of one query.
  let pair = index / 8u;
  let quad = index % 8u;
  let row = index / 4u;
  let quarter = index % 4u;
  let last_key = select(key_count - 1u, step.cache_start + first_query + row, CAUSAL);
  var sums: array<vec4f, CHUNKS * 2u>;
  var best = MASKED;
  var total = 0f;

  for (var first_key = 0u; first_key < key_count; first_key += TILE) {
    var products: array<vec4f, 2>;
    for (var chunk = 0u; chunk < CHUNKS; chunk++) {
      for (var i = index; i < TILE * CHUNK; i += 128u) {
        let line = i / CHUNK;
        let d = chunk * CHUNK + i % CHUNK;
        var query_value = vec4f(0);
        var key_value = vec4f(0);
        if (d < D4 && first_query + line < step.row_count) {
          query_value = q[((first_query + line) * H + head) * D4 + d];
        }
        if (d < D4 && first_key + line < key_count) {
          key_value = unpack_quad(keys[cache + (first_key + line) * D4 + d]);
        }
        q_tile[i] = query_value;
        kv_tile[i] = key_value;
      }
      workgroupBarrier();
      for (var d = 0u; d < CHUNK; d++) {
        let first = q_tile[pair * 2u * CHUNK + d];
        let second = q_tile[(pair * 2u + 1u) * CHUNK + d];
        for (var j = 0u; j < 4u; j++) {
          let key_value = kv_tile[(quad * 4u + j) * CHUNK + d];
          products[0][j] += dot(first, key_value);
          products[1][j] += dot(second, key_value);
        }
      }
      workgroupBarrier();
    }
    for (var j = 0u; j < 4u; j++) {
      scores[pair * 2u * SCORE_STRIDE + quad * 4u + j] = products[0][j] * SCALE;
      scores[(pair * 2u + 1u) * SCORE_STRIDE + quad * 4u + j] = products[1][j] * SCALE;
    }
    workgroupBarrier();

    let first_score = row * SCORE_STRIDE + quarter * 8u;
    var part_best = MASKED;
    for (var j = 0u; j < 8u; j++) {
      if (first_key + quarter * 8u + j > last_key) {
        scores[first_score + j] = MASKED;
      }
      part_best = max(part_best, scores[first_score + j]);
    }
    row_part[index] = part_best;
    workgroupBarrier();
    var new_best = best;
    for (var i = 0u; i < 4u; i++) {
      new_best = max(new_best, row_part[row * 4u + i]);
    }
    let decay = exp(best - new_best);
    best = new_best;
    total *= decay;
    for (var j = 0u; j < 8u; j++) {
      let share = exp(scores[first_score + j] - best);
      scores[first_score + j] = share;
      total += share;
    }
    for (var i = 0u; i < CHUNKS * 2u; i++) {
      sums[i] *= decay;
    }

    for (var chunk = 0u; chunk < CHUNKS; chunk++) {
      for (var i = index; i < TILE * CHUNK; i += 128u) {
        let line = i / CHUNK;
        let d = chunk * CHUNK + i % CHUNK;
        var value = vec4f(0);
        if (d < D4 && first_key + line < key_count) {
          value = unpack_quad(values[cache + (first_key + line) * D4 + d]);
        }
        kv_tile[i] = value;
      }
      workgroupBarrier();
      for (var key = 0u; key < TILE; key++) {
        let share = scores[row * SCORE_STRIDE + key];
        sums[chunk * 2u] += share * kv_tile[key * CHUNK + quarter * 2u];
        sums[chunk * 2u + 1u] += share * kv_tile[key * CHUNK + quarter * 2u + 1u];
      }
      workgroupBarrier();
    }
  }

  row_part[index] = total;
  workgroupBarrier();
  let whole = row_part[row * 4u] + row_part[row * 4u + 1u] + row_part[row * 4u + 2u] + row_part[row * 4u + 3u];
  if (first_query + row >= step.row_count) {
    return;
  }
  for (var i = 0u; i < CHUNKS * 2u; i++) {
    let d = (i / 2u) * CHUNK + quarter * 2u + i % 2u;
    if (d < D4) {
      output[((first_query + row) * H + head) * D4 + d] = sums[i] / whole;
    }
  }
}
