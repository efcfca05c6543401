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
  let head = workgroup.y * H + workgroup.x / blocks;
  let used = splits_in_use(rows[workgroup.y].cache_index + 1u, SPLITS);
  var best = -3e38;
  for (var split = index; split < used; split += WORKGROUP) {
    best = max(best, partial_stats[head * SPLITS + split].x);
  }
  best = reduce_max(best, index);
  var total = 0f;
  for (var split = index; split < used; split += WORKGROUP) {
    let stats = partial_stats[head * SPLITS + split];
    let share = exp(stats.x - best);
    shares[split] = share;
    total += stats.y * share;
  }
  // Its barriers stand between the writing and the reading of `shares`.
  total = reduce_sum(total, index);
  let octet = (workgroup.x % blocks) * 4u + index % 4u;
  var a = vec4f(0);
  var b = vec4f(0);
  for (var split = index / 4u; split < used; split += TEAMS) {
    let place = (head * SPLITS + split) * D4 + octet * 2u;
    a += partial_output[place] * shares[split];
    b += partial_output[place + 1u] * shares[split];
  }
  sums[index * 2u] = a;
  sums[index * 2u + 1u] = b;
  workgroupBarrier();
  if (index < 4u) {
    for (var team = 1u; team < TEAMS; team++) {
      a += sums[(team * 4u + index) * 2u];
      b += sums[(team * 4u + index) * 2u + 1u];
    }
  }
  emit_octet(workgroup.y, H * blocks, workgroup.x * 4u + index % 4u, a / total, b / total, index, index < 4u);
}
