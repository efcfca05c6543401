// Decode attention inside a dispatch of other work: workgroups attend to splits of the keys and send what came out, and
// others join it.
// Expects: H, KV, D, CONTEXT, SPLITS, SUBGROUP and SUBGROUPS, where in `mail` ATTENDED is, the buffers stream and rows,
// a cache prelude and layer-mail.

// The layer's cache, [slots, KV, CONTEXT, D] each.
@group(0) @binding(2) var<storage, read> keys_in: array<CacheQuad>;
@group(0) @binding(3) var<storage, read> values_in: array<CacheQuad>;

override SCALE: f32;

// A split's output by components of its quads, its largest score and the sum of its shares.
const SPLIT_WORDS = D + 2u;
const ATTENTION_WORDS = H * SPLITS * SPLIT_WORDS;
const QUADS = D / 4u;
// Quads of a head that an invocation takes in turn; SUBGROUP invocations hold one each.
const LANE_QUADS = max(1u, QUADS / SUBGROUP);
// Query heads that share a KV head, and how often the subgroups take one each.
const GROUP = H / KV;
const HEAD_TURNS = (GROUP + SUBGROUPS - 1u) / SUBGROUPS;
// Eight invocations for each split, and those whose sums their subgroup adds up.
const TEAMS = WORKGROUP / 8u;
const JOINERS = max(8u, SUBGROUP);
const MASKED = -3e38;

var<workgroup> join_sums: array<vec4f, WORKGROUP / JOINERS * 8u>;

// Even shares in whole batches of 8.
fn keys_a_split(key_count: u32) -> u32 {
  let even = (key_count + SPLITS - 1u) / SPLITS;
  return (even + 7u) / 8u * 8u;
}

fn attend(workgroup: u32, index: u32) {
  for (var item = workgroup; item < KV * SPLITS; item += WORKGROUPS) {
    attend_split(item, index);
  }
  // Software runs a workgroup's subgroups in turns that end at barriers: none may wait for words that are not sent.
  workgroupBarrier();
}

// A split of a KV head's keys, with a query head for each subgroup. Nothing is shared but the cached lines of keys.
fn attend_split(item: u32, index: u32) {
  let kv_head = item % KV;
  let split = item / KV;
  let row = rows[0];
  let key_count = row.cache_index + 1u;
  let share = keys_a_split(key_count);
  let first = split * share;
  let end = min(first + share, key_count);
  if (first >= key_count) { return; }
  let lane = index % SUBGROUP;
  // A head may have fewer quads than a subgroup invocations: those past its end add nothing.
  let held = min(lane, QUADS - 1u);
  let cache = (row.slot * KV + kv_head) * CONTEXT * QUADS + held;
  for (var turn = 0u; turn < HEAD_TURNS * LANE_QUADS; turn++) {
    let group = turn / LANE_QUADS * SUBGROUPS + index / SUBGROUP;
    let head = kv_head * GROUP + min(group, GROUP - 1u);
    // The quad of the outputs that an invocation takes in this turn.
    let column = turn % LANE_QUADS * SUBGROUP;
    let query = stream[head * QUADS + held] * select(0f, SCALE, lane < QUADS);
    var output = vec4f(0);
    var best = MASKED;
    var total = 0f;
    for (var key = first; key < end; key += 8u) {
      // Past the end the last key again, and masked. All loads before the first sum over a subgroup: the driver does not
      // move any across one.
      let last = vec4u(end - 1u);
      let a_keys = vec4u(key, key + 1u, key + 2u, key + 3u);
      let b_keys = a_keys + vec4u(4u);
      let a = cache + min(a_keys, last) * QUADS;
      let b = cache + min(b_keys, last) * QUADS;
      let k0 = keys_in[a.x];
      let k1 = keys_in[a.y];
      let k2 = keys_in[a.z];
      let k3 = keys_in[a.w];
      let k4 = keys_in[b.x];
      let k5 = keys_in[b.y];
      let k6 = keys_in[b.z];
      let k7 = keys_in[b.w];
      let v0 = values_in[a.x + column];
      let v1 = values_in[a.y + column];
      let v2 = values_in[a.z + column];
      let v3 = values_in[a.w + column];
      let v4 = values_in[b.x + column];
      let v5 = values_in[b.y + column];
      let v6 = values_in[b.z + column];
      let v7 = values_in[b.w + column];
      var s = vec4f(
        dot(query, unpack_quad(k0)), dot(query, unpack_quad(k1)),
        dot(query, unpack_quad(k2)), dot(query, unpack_quad(k3)),
      );
      var t = vec4f(
        dot(query, unpack_quad(k4)), dot(query, unpack_quad(k5)),
        dot(query, unpack_quad(k6)), dot(query, unpack_quad(k7)),
      );
      // Only where a subgroup is smaller than a head.
      for (var i = SUBGROUP; i < QUADS; i += SUBGROUP) {
        let more = stream[head * QUADS + lane + i] * SCALE;
        s += vec4f(
          dot(more, unpack_quad(keys_in[a.x + i])), dot(more, unpack_quad(keys_in[a.y + i])),
          dot(more, unpack_quad(keys_in[a.z + i])), dot(more, unpack_quad(keys_in[a.w + i])),
        );
        t += vec4f(
          dot(more, unpack_quad(keys_in[b.x + i])), dot(more, unpack_quad(keys_in[b.y + i])),
          dot(more, unpack_quad(keys_in[b.z + i])), dot(more, unpack_quad(keys_in[b.w + i])),
        );
      }
      s = select(vec4f(MASKED), subgroupAdd(s), a_keys < vec4u(end));
      t = select(vec4f(MASKED), subgroupAdd(t), b_keys < vec4u(end));
      let largest = max(s, t);
      let new_best = max(best, max(max(largest.x, largest.y), max(largest.z, largest.w)));
      let decay = exp(best - new_best);
      best = new_best;
      s = exp(s - best);
      t = exp(t - best);
      total = total * decay + dot(s + t, vec4f(1));
      output = output * decay
        + unpack_quad(v0) * s.x + unpack_quad(v1) * s.y + unpack_quad(v2) * s.z + unpack_quad(v3) * s.w
        + unpack_quad(v4) * t.x + unpack_quad(v5) * t.y + unpack_quad(v6) * t.z + unpack_quad(v7) * t.w;
    }
    // A branch around it all would take the subgroups apart.
    if (group < GROUP && lane < QUADS) {
      let place = ATTENDED + (head * SPLITS + split) * SPLIT_WORDS;
      let quad = place + lane + column;
      send_quad(quad, QUADS, output);
      if (lane + column == 0u) {
        send(place + D, best);
        send(place + D + 1u, total);
      }
    }
  }
}

// Joins the splits, at most TEAMS, of 32 outputs of a head.
fn join(block: u32, index: u32) {
  let head = block * 32u / D;
  let key_count = rows[0].cache_index + 1u;
  let share = keys_a_split(key_count);
  let last = (key_count + share - 1u) / share - 1u;
  let place = ATTENDED + head * SPLITS * SPLIT_WORDS;
  // Past the end the last split again, with a share of 0. What an invocation adds, and its splits' statistics: two of
  // all for the subgroup's sum.
  let team = index / 8u;
  let lane = index % SUBGROUP;
  let own = place + min(team, last) * SPLIT_WORDS;
  let quad = own + (block * 8u) % QUADS + index % 8u;
  var best = MASKED;
  var total = 0f;
  var words: vec4u;
  var own_best: u32;
  // Only where a subgroup has less invocations than there are splits.
  for (var first = 0u; first < SPLITS; first += 2u * SUBGROUP) {
    let p = place + min(first + lane, last) * SPLIT_WORDS + D;
    let q = place + min(first + SUBGROUP + lane, last) * SPLIT_WORDS + D;
    var stats: vec4u;
    for (var looks = 0u; ; looks++) {
      stats = vec4u(
        atomicLoad(&mail[p]), atomicLoad(&mail[p + 1u]), atomicLoad(&mail[q]), atomicLoad(&mail[q + 1u]),
      );
      words = look(quad, QUADS);
      own_best = atomicLoad(&mail[own + D]);
      if ((all(min(stats, words) != vec4u(0)) && own_best != 0u) || gives_up(looks)) { break; }
    }
    let values = received(stats);
    let new_best = max(best, subgroupMax(max(values.x, values.z)));
    let shares = vec2f(
      select(0f, values.y * exp(values.x - new_best), first + lane <= last),
      select(0f, values.w * exp(values.z - new_best), first + SUBGROUP + lane <= last),
    );
    total = total * exp(best - new_best) + subgroupAdd(shares.x + shares.y);
    best = new_best;
  }
  var sum = received(words) * select(0f, exp(received(vec4u(own_best)).x - best) / total, team <= last);
  for (var distance = 8u; distance < SUBGROUP; distance <<= 1u) {
    sum += subgroupShuffleXor(sum, distance);
  }
  if (index % JOINERS < 8u) { join_sums[index / JOINERS * 8u + index % 8u] = sum; }
  workgroupBarrier();
  if (index < 8u) {
    for (var row = 1u; row < WORKGROUP / JOINERS; row++) {
      sum += join_sums[row * 8u + index];
    }
    send_joined(block, sum, index);
  }
  workgroupBarrier();
}
