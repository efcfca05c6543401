// Attention of many queries over an f16 key/value cache with the subgroup matrices of
// chromium-experimental-subgroup-matrix, for heads of 128 dimensions. A workgroup takes 64 queries of one head and keys
// by 32; each of its four subgroups of 32 owns 16 queries, which it keeps as matrices, and their output.
// The output is only brought to a new maximum when that has risen by more than 2^RISE: shares may grow to that.
// The next keys and values are on their way from memory while these are multiplied. They take turns in 9 KiB: with the
// scores 18 KiB, so that two workgroups run at once where a driver shares out 48 KiB of a processor.

enable f16;
enable subgroups;
enable subgroup_size_control;
enable chromium_experimental_subgroup_matrix;

override H: u32;
override KV: u32;
// Positions that a slot of the cache holds; 0 for a cache as long as the rows of this step.
override CONTEXT: u32;
// Factor of the scores, with log2(e) in it: softmax takes powers of 2.
override SCALE: f32;
override CAUSAL: bool;

@group(0) @binding(0) var<storage, read> q: array<vec4f>;
// Eight halves in a vector.
@group(0) @binding(1) var<storage, read> keys: array<vec4u>;
@group(0) @binding(2) var<storage, read> values: array<vec4u>;
@group(0) @binding(3) var<storage, read_write> output: array<vec4f>;

alias Left = subgroup_matrix_left<f16, 16, 16>;
alias Right = subgroup_matrix_right<f16, 16, 16>;
alias Result = subgroup_matrix_result<f32, 16, 16>;

const QUERIES = 64u;
const KEYS = 32u;
const WORKGROUP = 128u;
const D4 = 32u;
const MASKED = -3e38;
const RISE = 8.0;
// Vectors of a row: of a key, a value or a query (eight halves each), and of scores (four f32) or shares (eight
// halves), with one more so that neighbouring rows hit different banks.
const C_PITCH = 17u;
const S_PITCH = 9u;
// Keys and values in turn; before the first, half of the queries.
var<workgroup> cache_tile: array<vec4u, KEYS * C_PITCH>;
var<workgroup> scores: array<vec4u, QUERIES * S_PITCH>;
var<workgroup> rises: atomic<u32>;

fn pack4(value: vec4f) -> vec2u {
  return vec2u(pack2x16float(value.xy), pack2x16float(value.zw));
}

// What an invocation brings of 32 keys, or values: a vector of every eighth.
struct Stage { a: vec4u, b: vec4u, c: vec4u, d: vec4u }

fn put(stage: ptr<function, Stage>, index: u32) {
  let place = (index / 16u) * C_PITCH + index % 16u;
  cache_tile[place] = (*stage).a;
  cache_tile[place + 8u * C_PITCH] = (*stage).b;
  cache_tile[place + 16u * C_PITCH] = (*stage).c;
  cache_tile[place + 24u * C_PITCH] = (*stage).d;
}

fn fetch_keys(cache: u32, first_key: u32, last_key: u32, index: u32) -> Stage {
  let key = first_key + index / 16u;
  let first = cache + index % 16u;
  return Stage(
    keys[first + min(key, last_key) * 16u], keys[first + min(key + 8u, last_key) * 16u],
    keys[first + min(key + 16u, last_key) * 16u], keys[first + min(key + 24u, last_key) * 16u],
  );
}

fn fetch_values(cache: u32, first_key: u32, last_key: u32, index: u32) -> Stage {
  let key = first_key + index / 16u;
  let first = cache + index % 16u;
  return Stage(
    values[first + min(key, last_key) * 16u], values[first + min(key + 8u, last_key) * 16u],
    values[first + min(key + 16u, last_key) * 16u], values[first + min(key + 24u, last_key) * 16u],
  );
}

// Multiplies the rows of a result by factors that each pair of lanes holds for its row.
fn scale_rows(result: Result, subgroup: u32, lane: u32, factor: f32) -> Result {
  let first = subgroup * 16u * S_PITCH;
  subgroupMatrixStore<row_major>(&scores, first, result, S_PITCH);
  workgroupBarrier();
  let own = first + (lane / 2u) * S_PITCH + (lane % 2u) * 2u;
  scores[own] = bitcast<vec4u>(bitcast<vec4f>(scores[own]) * factor);
  scores[own + 1u] = bitcast<vec4u>(bitcast<vec4f>(scores[own + 1u]) * factor);
  workgroupBarrier();
  let scaled = subgroupMatrixLoad<Result, row_major>(&scores, first, S_PITCH);
  workgroupBarrier();
  return scaled;
}

fn store_rows(result: Result, subgroup: u32, lane: u32, factor: f32, place: u32, is_valid: bool) {
  let first = subgroup * 16u * S_PITCH;
  subgroupMatrixStore<row_major>(&scores, first, result, S_PITCH);
  workgroupBarrier();
  let own = first + (lane / 2u) * S_PITCH + (lane % 2u) * 2u;
  if (is_valid) {
    output[place] = bitcast<vec4f>(scores[own]) * factor;
    output[place + 1u] = bitcast<vec4f>(scores[own + 1u]) * factor;
  }
  workgroupBarrier();
}

@compute @workgroup_size(128) @subgroup_size(32)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(local_invocation_index) index: u32,
  @builtin(subgroup_id) subgroup: u32,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  // Causal: the last queries see the most keys and begin first, so that no long work is left alone at the end.
  let tile = select(workgroup.x, (step.row_count - 1u) / QUERIES - workgroup.x, CAUSAL);
  let first_query = tile * QUERIES;
  let head = workgroup.y;
  let context = select(CONTEXT, step.row_count, CONTEXT == 0u);
  let cache = (step.slot * KV + head / (H / KV)) * context * 16u;
  let last_query = min(first_query + QUERIES, step.row_count) - 1u;
  let key_count = select(step.row_count, step.cache_start + last_query + 1u, CAUSAL);
  // A lane owns half of the keys of one query.
  let query = first_query + subgroup * 16u + lane / 2u;
  let own_last_key = select(key_count - 1u, step.cache_start + query, CAUSAL);
  let half = lane % 2u;
  // 32 queries at a time go through the cache's tile into matrices of their subgroups.
  var q0 = Left();
  var q1 = Left();
  var q2 = Left();
  var q3 = Left();
  var q4 = Left();
  var q5 = Left();
  var q6 = Left();
  var q7 = Left();
  for (var part = 0u; part < 2u; part++) {
    for (var i = index; i < 512u; i += WORKGROUP) {
      let row = min(first_query + part * 32u + i / 16u, step.row_count - 1u);
      let source = (row * H + head) * D4 + (i % 16u) * 2u;
      cache_tile[(i / 16u) * C_PITCH + i % 16u] = vec4u(pack4(q[source]), pack4(q[source + 1u]));
    }
    workgroupBarrier();
    if (subgroup / 2u == part) {
      let first = (subgroup % 2u) * 16u * C_PITCH;
      q0 = subgroupMatrixLoad<Left, row_major>(&cache_tile, first + 0u, C_PITCH);
      q1 = subgroupMatrixLoad<Left, row_major>(&cache_tile, first + 2u, C_PITCH);
      q2 = subgroupMatrixLoad<Left, row_major>(&cache_tile, first + 4u, C_PITCH);
      q3 = subgroupMatrixLoad<Left, row_major>(&cache_tile, first + 6u, C_PITCH);
      q4 = subgroupMatrixLoad<Left, row_major>(&cache_tile, first + 8u, C_PITCH);
      q5 = subgroupMatrixLoad<Left, row_major>(&cache_tile, first + 10u, C_PITCH);
      q6 = subgroupMatrixLoad<Left, row_major>(&cache_tile, first + 12u, C_PITCH);
      q7 = subgroupMatrixLoad<Left, row_major>(&cache_tile, first + 14u, C_PITCH);
    }
    workgroupBarrier();
  }
  var o0 = Result();
  var o1 = Result();
  var o2 = Result();
  var o3 = Result();
  var o4 = Result();
  var o5 = Result();
  var o6 = Result();
  var o7 = Result();
  var best = MASKED;
  var total = 0f;
  let own_rows = subgroup * 16u;
  let last_key = key_count - 1u;
  var key_stage = fetch_keys(cache, 0u, last_key, index);
  var value_stage = fetch_values(cache, 0u, last_key, index);
  for (var first_key = 0u; first_key < key_count; first_key += KEYS) {
    put(&key_stage, index);
    if (index == 0u) {
      atomicStore(&rises, 0u);
    }
    workgroupBarrier();
    key_stage = fetch_keys(cache, first_key + KEYS, last_key, index);
    var s0 = Result();
    var s1 = Result();
    s0 = subgroupMatrixMultiplyAccumulate(q0, subgroupMatrixLoad<Right, col_major>(&cache_tile, 0u, C_PITCH), s0);
    s1 = subgroupMatrixMultiplyAccumulate(q0, subgroupMatrixLoad<Right, col_major>(&cache_tile, 16u * C_PITCH + 0u, C_PITCH), s1);
    s0 = subgroupMatrixMultiplyAccumulate(q1, subgroupMatrixLoad<Right, col_major>(&cache_tile, 2u, C_PITCH), s0);
    s1 = subgroupMatrixMultiplyAccumulate(q1, subgroupMatrixLoad<Right, col_major>(&cache_tile, 16u * C_PITCH + 2u, C_PITCH), s1);
    s0 = subgroupMatrixMultiplyAccumulate(q2, subgroupMatrixLoad<Right, col_major>(&cache_tile, 4u, C_PITCH), s0);
    s1 = subgroupMatrixMultiplyAccumulate(q2, subgroupMatrixLoad<Right, col_major>(&cache_tile, 16u * C_PITCH + 4u, C_PITCH), s1);
    s0 = subgroupMatrixMultiplyAccumulate(q3, subgroupMatrixLoad<Right, col_major>(&cache_tile, 6u, C_PITCH), s0);
    s1 = subgroupMatrixMultiplyAccumulate(q3, subgroupMatrixLoad<Right, col_major>(&cache_tile, 16u * C_PITCH + 6u, C_PITCH), s1);
    s0 = subgroupMatrixMultiplyAccumulate(q4, subgroupMatrixLoad<Right, col_major>(&cache_tile, 8u, C_PITCH), s0);
    s1 = subgroupMatrixMultiplyAccumulate(q4, subgroupMatrixLoad<Right, col_major>(&cache_tile, 16u * C_PITCH + 8u, C_PITCH), s1);
    s0 = subgroupMatrixMultiplyAccumulate(q5, subgroupMatrixLoad<Right, col_major>(&cache_tile, 10u, C_PITCH), s0);
    s1 = subgroupMatrixMultiplyAccumulate(q5, subgroupMatrixLoad<Right, col_major>(&cache_tile, 16u * C_PITCH + 10u, C_PITCH), s1);
    s0 = subgroupMatrixMultiplyAccumulate(q6, subgroupMatrixLoad<Right, col_major>(&cache_tile, 12u, C_PITCH), s0);
    s1 = subgroupMatrixMultiplyAccumulate(q6, subgroupMatrixLoad<Right, col_major>(&cache_tile, 16u * C_PITCH + 12u, C_PITCH), s1);
    s0 = subgroupMatrixMultiplyAccumulate(q7, subgroupMatrixLoad<Right, col_major>(&cache_tile, 14u, C_PITCH), s0);
    s1 = subgroupMatrixMultiplyAccumulate(q7, subgroupMatrixLoad<Right, col_major>(&cache_tile, 16u * C_PITCH + 14u, C_PITCH), s1);
    let own_scores = own_rows * S_PITCH;
    subgroupMatrixStore<row_major>(&scores, own_scores, s0, S_PITCH);
    subgroupMatrixStore<row_major>(&scores, own_scores + 4u, s1, S_PITCH);
    workgroupBarrier();
    put(&value_stage, index);
    value_stage = fetch_values(cache, first_key + KEYS, last_key, index);
    // Lanes take turns in the vectors of a row: 2 i + half.
    let row = (own_rows + lane / 2u) * S_PITCH;
    let key = vec4u(first_key + half * 4u) + vec4u(0u, 1u, 2u, 3u);
    let a = select(vec4f(MASKED), bitcast<vec4f>(scores[row + half]) * SCALE, key <= vec4u(own_last_key));
    let b = select(vec4f(MASKED), bitcast<vec4f>(scores[row + half + 2u]) * SCALE, key + 8u <= vec4u(own_last_key));
    let c = select(vec4f(MASKED), bitcast<vec4f>(scores[row + half + 4u]) * SCALE, key + 16u <= vec4u(own_last_key));
    let d = select(vec4f(MASKED), bitcast<vec4f>(scores[row + half + 6u]) * SCALE, key + 24u <= vec4u(own_last_key));
    let largest = max(max(a, b), max(c, d));
    var tile_best = max(max(largest.x, largest.y), max(largest.z, largest.w));
    tile_best = max(tile_best, subgroupShuffleXor(tile_best, 1u));
    if (tile_best > best + RISE) {
      atomicStore(&rises, 1u);
    }
    if (workgroupUniformLoad(&rises) != 0u) {
      let new_best = max(best, tile_best);
      let decay = exp2(best - new_best);
      best = new_best;
      total *= decay;
      o0 = scale_rows(o0, subgroup, lane, decay);
      o1 = scale_rows(o1, subgroup, lane, decay);
      o2 = scale_rows(o2, subgroup, lane, decay);
      o3 = scale_rows(o3, subgroup, lane, decay);
      o4 = scale_rows(o4, subgroup, lane, decay);
      o5 = scale_rows(o5, subgroup, lane, decay);
      o6 = scale_rows(o6, subgroup, lane, decay);
      o7 = scale_rows(o7, subgroup, lane, decay);
    }
    let share_a = exp2(a - best);
    let share_b = exp2(b - best);
    let share_c = exp2(c - best);
    let share_d = exp2(d - best);
    let sum = share_a + share_b + share_c + share_d;
    total += sum.x + sum.y + sum.z + sum.w;
    // A pair of lanes joins its halves of eight keys; each writes two of the four vectors.
    let low = vec4u(pack4(share_a), pack4(share_b));
    let high = vec4u(pack4(share_c), pack4(share_d));
    let give = select(low, high, half == 0u);
    let got = subgroupShuffleXor(give, 1u);
    if (half == 0u) {
      scores[row] = vec4u(low.xy, got.xy);
      scores[row + 1u] = vec4u(low.zw, got.zw);
    } else {
      scores[row + 2u] = vec4u(got.xy, high.xy);
      scores[row + 3u] = vec4u(got.zw, high.zw);
    }
    workgroupBarrier();
    let p0 = subgroupMatrixLoad<Left, row_major>(&scores, own_scores + 0u, S_PITCH);
    let p1 = subgroupMatrixLoad<Left, row_major>(&scores, own_scores + 2u, S_PITCH);
    o0 = subgroupMatrixMultiplyAccumulate(p0, subgroupMatrixLoad<Right, row_major>(&cache_tile, 0u * C_PITCH + 0u, C_PITCH), o0);
    o0 = subgroupMatrixMultiplyAccumulate(p1, subgroupMatrixLoad<Right, row_major>(&cache_tile, 16u * C_PITCH + 0u, C_PITCH), o0);
    o1 = subgroupMatrixMultiplyAccumulate(p0, subgroupMatrixLoad<Right, row_major>(&cache_tile, 0u * C_PITCH + 2u, C_PITCH), o1);
    o1 = subgroupMatrixMultiplyAccumulate(p1, subgroupMatrixLoad<Right, row_major>(&cache_tile, 16u * C_PITCH + 2u, C_PITCH), o1);
    o2 = subgroupMatrixMultiplyAccumulate(p0, subgroupMatrixLoad<Right, row_major>(&cache_tile, 0u * C_PITCH + 4u, C_PITCH), o2);
    o2 = subgroupMatrixMultiplyAccumulate(p1, subgroupMatrixLoad<Right, row_major>(&cache_tile, 16u * C_PITCH + 4u, C_PITCH), o2);
    o3 = subgroupMatrixMultiplyAccumulate(p0, subgroupMatrixLoad<Right, row_major>(&cache_tile, 0u * C_PITCH + 6u, C_PITCH), o3);
    o3 = subgroupMatrixMultiplyAccumulate(p1, subgroupMatrixLoad<Right, row_major>(&cache_tile, 16u * C_PITCH + 6u, C_PITCH), o3);
    o4 = subgroupMatrixMultiplyAccumulate(p0, subgroupMatrixLoad<Right, row_major>(&cache_tile, 0u * C_PITCH + 8u, C_PITCH), o4);
    o4 = subgroupMatrixMultiplyAccumulate(p1, subgroupMatrixLoad<Right, row_major>(&cache_tile, 16u * C_PITCH + 8u, C_PITCH), o4);
    o5 = subgroupMatrixMultiplyAccumulate(p0, subgroupMatrixLoad<Right, row_major>(&cache_tile, 0u * C_PITCH + 10u, C_PITCH), o5);
    o5 = subgroupMatrixMultiplyAccumulate(p1, subgroupMatrixLoad<Right, row_major>(&cache_tile, 16u * C_PITCH + 10u, C_PITCH), o5);
    o6 = subgroupMatrixMultiplyAccumulate(p0, subgroupMatrixLoad<Right, row_major>(&cache_tile, 0u * C_PITCH + 12u, C_PITCH), o6);
    o6 = subgroupMatrixMultiplyAccumulate(p1, subgroupMatrixLoad<Right, row_major>(&cache_tile, 16u * C_PITCH + 12u, C_PITCH), o6);
    o7 = subgroupMatrixMultiplyAccumulate(p0, subgroupMatrixLoad<Right, row_major>(&cache_tile, 0u * C_PITCH + 14u, C_PITCH), o7);
    o7 = subgroupMatrixMultiplyAccumulate(p1, subgroupMatrixLoad<Right, row_major>(&cache_tile, 16u * C_PITCH + 14u, C_PITCH), o7);
    workgroupBarrier();
  }
  let whole = total + subgroupShuffleXor(total, 1u);
  let factor = 1.0 / whole;
  let is_valid = query < step.row_count;
  let place = (query * H + head) * D4 + half * 2u;
  store_rows(o0, subgroup, lane, factor, place, is_valid);
  store_rows(o1, subgroup, lane, factor, place + 4u, is_valid);
  store_rows(o2, subgroup, lane, factor, place + 8u, is_valid);
  store_rows(o3, subgroup, lane, factor, place + 12u, is_valid);
  store_rows(o4, subgroup, lane, factor, place + 16u, is_valid);
  store_rows(o5, subgroup, lane, factor, place + 20u, is_valid);
  store_rows(o6, subgroup, lane, factor, place + 24u, is_valid);
  store_rows(o7, subgroup, lane, factor, place + 28u, is_valid);
}
