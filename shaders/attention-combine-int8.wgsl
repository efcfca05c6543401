// attention-combine whose output goes out as int8 digits for the next product. Workgroup (block of 32 outputs, sequence):
// four invocations take eight outputs each, and sixteen such teams take every sixteenth split.

override H: u32;
override SPLITS: u32;

@group(0) @binding(0) var<storage, read> partial_output: array<vec4f>;
@group(0) @binding(1) var<storage, read> partial_stats: array<vec2f>;
@group(0) @binding(2) var<storage, read> rows: array<Row>;

const TEAMS = WORKGROUP / 4u;

var<workgroup> shares: array<f32, MAX_SPLITS>;
var<workgroup> sums: array<vec4f, WORKGROUP * 2u>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) index: u32) {
  let blocks = D4 / 8u;
  let parts = (workgroup.y * H + workgroup.x / blocks) * SPLITS;
  let octet = (workgroup.x % blocks) * 4u + index % 4u;
  let team = index / 4u;
  // What the first splits left, before it is known that they are in use: these loads then wait for no others.
  let first_stats = partial_stats[parts + min(index, SPLITS - 1u)];
  let first = (parts + min(team, SPLITS - 1u)) * D4 + octet * 2u;
  let first_a = partial_output[first];
  let first_b = partial_output[first + 1u];
  let second = (parts + min(team + TEAMS, SPLITS - 1u)) * D4 + octet * 2u;
  let second_a = partial_output[second];
  let second_b = partial_output[second + 1u];
  let used = splits_in_use(rows[workgroup.y].cache_index + 1u, SPLITS);
  var best = select(-3e38, first_stats.x, index < used);
  for (var split = index + WORKGROUP; split < used; split += WORKGROUP) {
    best = max(best, partial_stats[parts + split].x);
  }
  best = reduce_max(best, index);
  var total = 0f;
  if (index < used) {
    let share = exp(first_stats.x - best);
    shares[index] = share;
    total = first_stats.y * share;
  }
  for (var split = index + WORKGROUP; split < used; split += WORKGROUP) {
    let stats = partial_stats[parts + split];
    let share = exp(stats.x - best);
    shares[split] = share;
    total += stats.y * share;
  }
  // Its barriers stand between the writing and the reading of `shares`.
  total = reduce_sum(total, index);
  var a = vec4f(0);
  var b = vec4f(0);
  if (team < used) {
    a = first_a * shares[team];
    b = first_b * shares[team];
  }
  if (team + TEAMS < used) {
    a += second_a * shares[team + TEAMS];
    b += second_b * shares[team + TEAMS];
  }
  for (var split = team + 2u * TEAMS; split < used; split += TEAMS) {
    let place = (parts + split) * D4 + octet * 2u;
    a += partial_output[place] * shares[split];
    b += partial_output[place + 1u] * shares[split];
  }
  sums[index * 2u] = a;
  sums[index * 2u + 1u] = b;
  workgroupBarrier();
  if (index < 4u) {
    for (var other = 1u; other < TEAMS; other++) {
      a += sums[(other * 4u + index) * 2u];
      b += sums[(other * 4u + index) * 2u + 1u];
    }
  }
  emit_octet(workgroup.y, H * blocks, workgroup.x * 4u + index % 4u, a / total, b / total, index, index < 4u);
}
