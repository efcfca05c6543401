// Attention of a layer whose splits an attention-split dispatch has left: this dispatch joins them. For long contexts,
// where more workgroups than run at the same time share the keys.
// Expects: H, HD, D, SPLITS, WORKGROUP and SUBGROUP, where in `mail` JOINED is, split-runs and layer-mail.

// [H, SPLITS, D / 4] and [H, SPLITS] (maximum, sum)
@group(0) @binding(2) var<storage, read> partial_output: array<vec4f>;
@group(0) @binding(3) var<storage, read> partial_stats: array<vec2f>;

// Nothing of it crosses between workgroups.
const ATTENTION_WORDS = 0u;
const QUADS = D / 4u;
// Eight invocations take a split of 32 outputs. Those whose sums their subgroup adds up, and how many such there are.
const TEAMS = WORKGROUP / 8u;
const JOINERS = max(8u, SUBGROUP);
const JOINS = WORKGROUP / JOINERS;
const MASKED = -3e38;

// Of each of JOINS: eight quads, all relative to its largest score, and that with the sum of its shares.
var<workgroup> join_sums: array<vec4f, JOINS * 8u>;
var<workgroup> join_stats: array<vec2f, JOINS>;

fn attend(workgroup: u32, index: u32) {}

// Joins the splits of 32 outputs of a head.
fn join(block: u32, index: u32) {
  let head = block * 32u / D;
  // Past the end the last split again, masked.
  let last = vec4u(splits_in_use(rows[0].cache_index + 1u, SPLITS) - 1u);
  let quad = (block * 8u) % QUADS + index % 8u;
  var best = MASKED;
  var total = 0f;
  var sum = vec4f(0);
  for (var first = 0u; first < SPLITS; first += 4u * TEAMS) {
    let splits = first + index / 8u + vec4u(0u, TEAMS, 2u * TEAMS, 3u * TEAMS);
    let places = head * SPLITS + min(splits, last);
    let a = partial_stats[places.x];
    let b = partial_stats[places.y];
    let c = partial_stats[places.z];
    let d = partial_stats[places.w];
    let outputs = mat4x4f(
      partial_output[places.x * QUADS + quad], partial_output[places.y * QUADS + quad],
      partial_output[places.z * QUADS + quad], partial_output[places.w * QUADS + quad],
    );
    let scores = select(vec4f(MASKED), vec4f(a.x, b.x, c.x, d.x), splits <= last);
    let largest = max(scores.xy, scores.zw);
    let new_best = max(best, max(largest.x, largest.y));
    let shares = select(vec4f(0), exp(scores - new_best), splits <= last);
    let decay = exp(best - new_best);
    best = new_best;
    total = total * decay + dot(shares, vec4f(a.y, b.y, c.y, d.y));
    sum = sum * decay + outputs * shares;
  }
  let joint_best = subgroupMax(best);
  total *= exp(best - joint_best);
  sum *= exp(best - joint_best);
  for (var distance = 8u; distance < SUBGROUP; distance <<= 1u) {
    total += subgroupShuffleXor(total, distance);
    sum += subgroupShuffleXor(sum, distance);
  }
  if (index % JOINERS < 8u) { join_sums[index / JOINERS * 8u + index % 8u] = sum; }
  if (index % JOINERS == 0u) { join_stats[index / JOINERS] = vec2f(joint_best, total); }
  workgroupBarrier();
  if (index < 8u) {
    best = MASKED;
    for (var row = 0u; row < JOINS; row++) { best = max(best, join_stats[row].x); }
    total = 0f;
    sum = vec4f(0);
    for (var row = 0u; row < JOINS; row++) {
      let stats = join_stats[row];
      let weight = exp(stats.x - best);
      total += stats.y * weight;
      sum += join_sums[row * 8u + index] * weight;
    }
    send_joined(block, sum / total, index);
  }
  workgroupBarrier();
}
