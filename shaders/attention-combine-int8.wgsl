// attention-combine whose output goes out as int8 digits for the next product. D is a multiple of 32 and at most
// 4 WORKGROUP; the invocations beyond one head's vectors take every other split.

override H: u32;
override SPLITS: u32;

@group(0) @binding(0) var<storage, read> partial_output: array<vec4f>;
@group(0) @binding(1) var<storage, read> partial_stats: array<vec2f>;
@group(0) @binding(2) var<storage, read> rows: array<Row>;

const SIDE_BY_SIDE = WORKGROUP / D4;

var<workgroup> stats: array<vec2f, MAX_SPLITS>;
var<workgroup> sums: array<vec4f, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) index: u32) {
  let head = workgroup.y * H + workgroup.x;
  let key_count = rows[workgroup.y].cache_index + 1u;
  let keys_a_split = keys_per_split(key_count, SPLITS);
  let used = (key_count + keys_a_split - 1u) / keys_a_split;
  for (var split = index; split < used; split += WORKGROUP) {
    stats[split] = partial_stats[head * SPLITS + split];
  }
  workgroupBarrier();
  var best = -3e38;
  for (var split = 0u; split < used; split++) {
    best = max(best, stats[split].x);
  }
  let lane = index % D4;
  let beside = index / D4;
  var sum = vec4f(0);
  var total = 0f;
  for (var split = 0u; split < used; split++) {
    total += stats[split].y * exp(stats[split].x - best);
  }
  if (beside < SIDE_BY_SIDE) {
    for (var split = beside; split < used; split += SIDE_BY_SIDE) {
      let share = exp(stats[split].x - best);
      sum += partial_output[(head * SPLITS + split) * D4 + lane] * share;
    }
  }
  sums[index] = sum;
  workgroupBarrier();
  sum = vec4f(0);
  for (var i = 0u; i < SIDE_BY_SIDE; i++) {
    sum += sums[i * D4 + lane];
  }
  emit_quad(head * D4 + lane, sum / total, index, index < D4);
}
