// Joins the splits of attention-decode: output[b, h] = sum of the splits, each weighted by its share.

override H: u32;
override SPLITS: u32;

@group(0) @binding(0) var<storage, read> partial_output: array<vec4f>;
@group(0) @binding(1) var<storage, read> partial_stats: array<vec2f>;
@group(0) @binding(2) var<storage, read> rows: array<Row>;
@group(0) @binding(3) var<storage, read_write> output: array<vec4f>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) index: u32) {
  let head = workgroup.y * H + workgroup.x;
  let used = splits_in_use(rows[workgroup.y].cache_index + 1u, SPLITS);
  if (index >= D4) {
    return;
  }
  var best = -3e38;
  for (var split = 0u; split < used; split++) {
    best = max(best, partial_stats[head * SPLITS + split].x);
  }
  var sum = vec4f(0);
  var total = 0f;
  for (var split = 0u; split < used; split++) {
    let stats = partial_stats[head * SPLITS + split];
    let share = exp(stats.x - best);
    total += stats.y * share;
    sum += partial_output[(head * SPLITS + split) * D4 + index] * share;
  }
  output[head * D4 + index] = sum / total;
}
