// attention-combine whose output goes out as int8 digits for the next product. D is a multiple of 32.

override H: u32;
override SPLITS: u32;

@group(0) @binding(0) var<storage, read> partial_output: array<vec4f>;
@group(0) @binding(1) var<storage, read> partial_stats: array<vec2f>;
@group(0) @binding(2) var<storage, read> rows: array<Row>;

var<workgroup> joined: array<vec4f, D4>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) index: u32) {
  let head = workgroup.y * H + workgroup.x;
  let key_count = rows[workgroup.y].cache_index + 1u;
  let keys_a_split = keys_per_split(key_count, SPLITS);
  let used = (key_count + keys_a_split - 1u) / keys_a_split;
  var best = -3e38;
  for (var split = 0u; split < used; split++) {
    best = max(best, partial_stats[head * SPLITS + split].x);
  }
  if (index < D4) {
    var sum = vec4f(0);
    var total = 0f;
    for (var split = 0u; split < used; split++) {
      let stats = partial_stats[head * SPLITS + split];
      let share = exp(stats.x - best);
      total += stats.y * share;
      sum += partial_output[(head * SPLITS + split) * D4 + index] * share;
    }
    joined[index] = sum / total;
  }
  workgroupBarrier();
  if (index < D4 / 8u) {
    var values: array<vec4f, 8>;
    for (var i = 0u; i < 8u; i++) {
      values[i] = joined[index * 8u + i];
    }
    emit_group(head * (D4 / 8u) + index, values);
  }
}
