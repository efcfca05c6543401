// Attention of one new token a sequence over its cache, split along the keys: workgroup (split, KV head,
// sequence) serves all GROUP query heads that share the KV head, so each key and value is read once.
// Leaves per split the running maximum, the sum and the unnormalised output; attention-combine joins them.

override H: u32;
override KV: u32;
override CONTEXT: u32;
override SCALE: f32;
override SPLITS: u32;

@group(0) @binding(0) var<storage, read> q: array<vec4f>;
@group(0) @binding(1) var<storage, read> keys: array<CacheQuad>;
@group(0) @binding(2) var<storage, read> values: array<CacheQuad>;
@group(0) @binding(3) var<storage, read> rows: array<Row>;
// [B, H, SPLITS, D4] and [B, H, SPLITS] (maximum, sum)
@group(0) @binding(4) var<storage, read_write> partial_output: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> partial_stats: array<vec2f>;

const TILE = RUN;
const WIDTH = 64u;
const MASKED = -3e38;
const SCORE_HEADS = (GROUP + 1u) / 2u;
// Invocations that cover one head's D4 vectors, how many heads fit side by side, and heads each takes.
const LANES = D4;
const SIDE_BY_SIDE = WIDTH / LANES;
const OUTPUT_HEADS = (GROUP + SIDE_BY_SIDE - 1u) / SIDE_BY_SIDE;
// Loads that are in flight together: one at a time, the way to memory would be most of the kernel's time.
const KEY_BATCH = select(1u, 4u, D4 % 4u == 0u);
const VALUE_BATCH = 8u;

var<workgroup> q_shared: array<vec4f, GROUP * D4>;
var<workgroup> shares: array<f32, GROUP * TILE>;
var<workgroup> decays: array<f32, GROUP>;
// Of a head's softmax, which PARTS invocations share.
var<workgroup> parts: array<f32, GROUP * PARTS>;

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) index: u32) {
  let split = workgroup.x;
  let kv_head = workgroup.y;
  let row = rows[workgroup.z];
  let key_count = row.cache_index + 1u;
  if (split * RUN >= key_count) {
    return;
  }
  let first_head = workgroup.z * H + kv_head * GROUP;
  for (var i = index; i < GROUP * D4; i += WIDTH) {
    q_shared[i] = q[first_head * D4 + i];
  }
  workgroupBarrier();

  let cache = (row.slot * KV + kv_head) * CONTEXT * D4;
  let lane = index % LANES;
  let beside = index / LANES;
  let part_head = index / PARTS;
  let part = index % PARTS;
  var sums: array<vec4f, OUTPUT_HEADS>;
  var best = MASKED;
  var total = 0f;
  for (var tile = split * RUN; tile < key_count; tile = next_tile(tile, TILE, SPLITS)) {
    let key = tile + index % TILE;
    // Explicit: some drivers do not clear a variable again that is declared inside a loop.
    var products = array<f32, SCORE_HEADS>();
    if (key < key_count) {
      for (var d = 0u; d < D4; d += KEY_BATCH) {
        var batch: array<vec4f, KEY_BATCH>;
        for (var j = 0u; j < KEY_BATCH; j++) {
          batch[j] = unpack_quad(keys[cache + key * D4 + d + j]);
        }
        for (var i = 0u; i < SCORE_HEADS; i++) {
          let head = min(index / TILE + i * 2u, GROUP - 1u);
          for (var j = 0u; j < KEY_BATCH; j++) {
            products[i] += dot(q_shared[head * D4 + d + j], batch[j]);
          }
        }
      }
    }
    for (var i = 0u; i < SCORE_HEADS; i++) {
      let head = index / TILE + i * 2u;
      if (head < GROUP) {
        shares[head * TILE + index % TILE] = select(MASKED, products[i] * SCALE, key < key_count);
      }
    }
    workgroupBarrier();
    var new_best = best;
    if (index < GROUP * PARTS) {
      for (var j = part; j < TILE; j += PARTS) {
        new_best = max(new_best, shares[part_head * TILE + j]);
      }
      parts[index] = new_best;
    }
    workgroupBarrier();
    if (index < GROUP * PARTS) {
      for (var i = 0u; i < PARTS; i++) {
        new_best = max(new_best, parts[part_head * PARTS + i]);
      }
      let decay = exp(best - new_best);
      decays[part_head] = decay;
      best = new_best;
      total *= decay;
      for (var j = part; j < TILE; j += PARTS) {
        let share = exp(shares[part_head * TILE + j] - best);
        shares[part_head * TILE + j] = share;
        total += share;
      }
    }
    workgroupBarrier();
    for (var i = 0u; i < OUTPUT_HEADS; i++) {
      sums[i] *= decays[min(beside + i * SIDE_BY_SIDE, GROUP - 1u)];
    }
    for (var first = 0u; first < min(TILE, key_count - tile); first += VALUE_BATCH) {
      var batch: array<vec4f, VALUE_BATCH>;
      for (var j = 0u; j < VALUE_BATCH; j++) {
        // Keys past the end have a share of 0; the last one is read in their place.
        batch[j] = unpack_quad(values[cache + min(tile + first + j, key_count - 1u) * D4 + lane]);
      }
      for (var i = 0u; i < OUTPUT_HEADS; i++) {
        let head = min(beside + i * SIDE_BY_SIDE, GROUP - 1u);
        for (var j = 0u; j < VALUE_BATCH; j++) {
          sums[i] += shares[head * TILE + first + j] * batch[j];
        }
      }
    }
    workgroupBarrier();
  }

  if (index < GROUP * PARTS) {
    parts[index] = total;
  }
  workgroupBarrier();
  if (index < GROUP * PARTS && part == 0u) {
    var whole = 0f;
    for (var i = 0u; i < PARTS; i++) {
      whole += parts[part_head * PARTS + i];
    }
    partial_stats[(first_head + part_head) * SPLITS + split] = vec2f(best, whole);
  }
  for (var i = 0u; i < OUTPUT_HEADS; i++) {
    let head = beside + i * SIDE_BY_SIDE;
    if (beside < SIDE_BY_SIDE && head < GROUP) {
      partial_output[((first_head + head) * SPLITS + split) * D4 + lane] = sums[i];
    }
  }
}
