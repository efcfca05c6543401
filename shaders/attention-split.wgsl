enable subgroups;
// attention-decode for GPUs with subgroups: workgroup (split, KV head, sequence) serves all GROUP (at most 16) query
// heads that share the KV head. KEY_LANES invocations share a key and four such teams take four heads each: every
// invocation keeps its part of four queries in registers for all keys. A tile's keys and values reach them through
// workgroup memory, and the next tile's are read meanwhile: without that each tile waits for memory six times. Leaves per
// split the running maximum, the sum and the unnormalised output; attention-combine joins them.

override H: u32;
override KV: u32;
override CONTEXT: u32;
override SCALE: f32;
override SPLITS: u32;

@group(0) @binding(0) var<storage, read> q: array<vec4f>;
@group(0) @binding(1) var<storage, read> keys: array<CacheOctet>;
@group(0) @binding(2) var<storage, read> values: array<CacheOctet>;
@group(0) @binding(3) var<storage, read> rows: array<Row>;
// [B, H, SPLITS, D4] and [B, H, SPLITS] (maximum, sum)
@group(0) @binding(4) var<storage, read_write> partial_output: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> partial_stats: array<vec2f>;

const MASKED = -3e38;
const HEADS = 16u;
// Keys of a tile, a part of a run: KEYS (a multiple of 4), one after the other, for every team of 4 KEY_LANES invocations.
const SLOTS = WORKGROUP / (4u * KEY_LANES);
const TILE = SLOTS * KEYS;
const TILE_QUADS = TILE / 4u;
// Vectors of eight dimensions of a key that an invocation takes.
const LANE_OCTETS = D8 / KEY_LANES;
// What an invocation brings of a tile's keys, and of its values.
const BROUGHT = TILE * D8 / WORKGROUP;
// For the output D8 invocations cover a head's dimensions; HEAD_GROUPS teams of them share the heads and KEY_GROUPS
// the keys.
const TEAM_HEADS = HEADS / HEAD_GROUPS;
const KEY_GROUPS = WORKGROUP / (D8 * HEAD_GROUPS);

// [TILE, D8] keys, then values.
var<workgroup> octets: array<CacheOctet, TILE * D8>;
// [HEADS, TILE_QUADS]: shares of four keys each.
var<workgroup> shares: array<vec4f, HEADS * TILE_QUADS>;
var<workgroup> decays: array<f32, HEADS>;
var<workgroup> parts: array<f32, HEADS * SLOTS>;
// Four of each eight dimensions, for the sum over the key groups.
var<workgroup> half_sums: array<vec4f, HEADS * D8>;

// The place in the cache of the invocation's `i`-th octet of a tile; the last key in place of those past the end.
fn place_of(i: u32, tile: u32, key_count: u32, index: u32) -> u32 {
  let octet = i * WORKGROUP + index;
  return min(tile + octet / D8, key_count - 1u) * D8 + octet % D8;
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) index: u32) {
  let split = workgroup.x;
  let kv_head = workgroup.y;
  let row = rows[workgroup.z];
  let key_count = row.cache_index + 1u;
  let first_key = split * RUN;
  if (first_key >= key_count) {
    return;
  }
  let first_head = workgroup.z * H + kv_head * GROUP;
  let lane = index % KEY_LANES;
  let head_quad = (index / KEY_LANES) % 4u;
  let slot = index / (KEY_LANES * 4u);
  // [4, LANE_OCTETS]
  var queries: array<mat2x4f, 4u * LANE_OCTETS>;
  for (var i = 0u; i < 4u; i++) {
    let head = head_quad * 4u + i;
    let scale = select(0f, SCALE, head < GROUP);
    let start = (first_head + min(head, GROUP - 1u)) * D8 + lane;
    for (var o = 0u; o < LANE_OCTETS; o++) {
      let place = (start + o * KEY_LANES) * 2u;
      queries[i * LANE_OCTETS + o] = mat2x4f(q[place] * scale, q[place + 1u] * scale);
    }
  }

  let cache = (row.slot * KV + kv_head) * CONTEXT * D8;
  // After the exchange below, a lane holds the scores of one head.
  let takes_upper = (lane & 1u) == 1u;
  let takes_second = (lane & 2u) == 2u;
  let head = head_quad * 4u + (lane & 1u) * 2u + ((lane >> 1u) & 1u);
  // Of eight lanes, four hold what the others hold too.
  let is_first = lane < 4u;
  let team_lane = index % D8;
  let team = index / D8;
  let team_head = (team % HEAD_GROUPS) * TEAM_HEADS;
  let key_group = team / HEAD_GROUPS;
  var sums: array<mat2x4f, TEAM_HEADS>;
  var best = MASKED;
  var total = 0f;
  var next_keys: array<CacheOctet, BROUGHT>;
  var next_values: array<CacheOctet, BROUGHT>;
  for (var i = 0u; i < BROUGHT; i++) { next_keys[i] = keys[cache + place_of(i, first_key, key_count, index)]; }
  for (var i = 0u; i < BROUGHT; i++) { next_values[i] = values[cache + place_of(i, first_key, key_count, index)]; }
  var following = 0u;
  for (var tile = first_key; tile < key_count; tile = following) {
    following = next_tile(tile, TILE, SPLITS);
    for (var i = 0u; i < BROUGHT; i++) { octets[i * WORKGROUP + index] = next_keys[i]; }
    workgroupBarrier();
    if (following < key_count) {
      for (var i = 0u; i < BROUGHT; i++) { next_keys[i] = keys[cache + place_of(i, following, key_count, index)]; }
    }
    let slot_key = tile + slot * KEYS;
    var scores: array<vec4f, KEYS / 4u>;
    var new_best = best;
    for (var batch = 0u; batch < KEYS / 4u; batch++) {
      for (var j = 0u; j < 4u; j++) {
        var products = vec4f(0);
        for (var o = 0u; o < LANE_OCTETS; o++) {
          let octet = unpack_octet(octets[(slot * KEYS + batch * 4u + j) * D8 + o * KEY_LANES + lane]);
          for (var i = 0u; i < 4u; i++) {
            let query = queries[i * LANE_OCTETS + o];
            products[i] += dot(query[0], octet[0]) + dot(query[1], octet[1]);
          }
        }
        // Each lane gives away what another one sums.
        let pair = select(products.xy, products.zw, takes_upper)
          + subgroupShuffleXor(select(products.zw, products.xy, takes_upper), 1u);
        var score = select(pair.x, pair.y, takes_second)
          + subgroupShuffleXor(select(pair.y, pair.x, takes_second), 2u);
        if (KEY_LANES == 8u) {
          score += subgroupShuffleXor(score, 4u);
        }
        scores[batch][j] = select(MASKED, score, slot_key + batch * 4u + j < key_count);
      }
      let largest = max(scores[batch].xy, scores[batch].zw);
      new_best = max(new_best, max(largest.x, largest.y));
    }
    if (is_first) {
      parts[slot * HEADS + head] = new_best;
    }
    workgroupBarrier();
    for (var i = 0u; i < SLOTS; i++) {
      new_best = max(new_best, parts[i * HEADS + head]);
    }
    // All have read the keys.
    for (var i = 0u; i < BROUGHT; i++) { octets[i * WORKGROUP + index] = next_values[i]; }
    let decay = exp(best - new_best);
    best = new_best;
    total *= decay;
    if (is_first && slot == 0u) {
      decays[head] = decay;
    }
    for (var batch = 0u; batch < KEYS / 4u; batch++) {
      let share = exp(scores[batch] - best);
      if (is_first) {
        shares[head * TILE_QUADS + slot * (KEYS / 4u) + batch] = share;
      }
      total += dot(share, vec4f(1));
    }
    workgroupBarrier();
    if (following < key_count) {
      for (var i = 0u; i < BROUGHT; i++) {
        next_values[i] = values[cache + place_of(i, following, key_count, index)];
      }
    }
    for (var i = 0u; i < TEAM_HEADS; i++) {
      sums[i] *= decays[team_head + i];
    }
    let quads = (min(TILE, key_count - tile) + 3u) / 4u;
    for (var quad = key_group; quad < quads; quad += KEY_GROUPS) {
      // Keys past the end have a share of 0.
      let first = quad * 4u * D8 + team_lane;
      let a = unpack_octet(octets[first]);
      let b = unpack_octet(octets[first + D8]);
      let c = unpack_octet(octets[first + 2u * D8]);
      let d = unpack_octet(octets[first + 3u * D8]);
      for (var i = 0u; i < TEAM_HEADS; i++) {
        let share = shares[(team_head + i) * TILE_QUADS + quad];
        sums[i] += a * share.x + b * share.y + c * share.z + d * share.w;
      }
    }
    // `octets`, `parts` and `shares` are written again.
    workgroupBarrier();
  }

  if (is_first) {
    parts[slot * HEADS + head] = total;
  }
  workgroupBarrier();
  if (slot == 0u && is_first && head < GROUP) {
    var whole = 0f;
    for (var i = 0u; i < SLOTS; i++) {
      whole += parts[i * HEADS + head];
    }
    partial_stats[(first_head + head) * SPLITS + split] = vec2f(best, whole);
  }
  for (var group = 1u; group < KEY_GROUPS; group++) {
    for (var half = 0u; half < 2u; half++) {
      workgroupBarrier();
      if (key_group == group) {
        for (var i = 0u; i < TEAM_HEADS; i++) {
          half_sums[(team_head + i) * D8 + team_lane] = sums[i][half];
        }
      }
      workgroupBarrier();
      if (key_group == 0u) {
        for (var i = 0u; i < TEAM_HEADS; i++) {
          sums[i][half] += half_sums[(team_head + i) * D8 + team_lane];
        }
      }
    }
  }
  if (key_group == 0u) {
    for (var i = 0u; i < TEAM_HEADS; i++) {
      if (team_head + i < GROUP) {
        let place = (((first_head + team_head + i) * SPLITS + split) * D8 + team_lane) * 2u;
        partial_output[place] = sums[i][0];
        partial_output[place + 1u] = sums[i][1];
      }
    }
  }
}
