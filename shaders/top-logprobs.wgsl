// The K best tokens of each chunk of logits[row], best first (of equal ones the lowest id), and the chunk's part of the
// softmax. One workgroup a chunk, its logits in workgroup memory; K rounds of "the best that is left".

override V: u32;
override K: u32;

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read_write> best: array<RankedToken>;
@group(0) @binding(2) var<storage, read_write> sums: array<SoftmaxPart>;

var<workgroup> left: array<f32, CHUNK>;

fn summarise(raw: f32, id: u32) -> LogitSummary {
  var summary = empty_summary();
  if (is_minus_infinity(raw)) { return summary; }
  if (is_infinite_or_nan(raw)) {
    summary.raw_best = FAULT;
    return summary;
  }
  return LogitSummary(raw, id, LOWEST, NO_TOKEN, raw, 1f);
}

fn best_left(first: u32, index: u32) -> LogitSummary {
  var summary = empty_summary();
  for (var i = index; i < CHUNK; i += WORKGROUP) {
    if (left[i] > summary.best) {
      summary.best = left[i];
      summary.best_id = first + i;
    }
  }
  return summary;
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) index: u32) {
  let row = workgroup.y;
  let chunk = row * grid.x + workgroup.x;
  let first = workgroup.x * CHUNK;
  var mine = empty_summary();
  for (var i = index; i < CHUNK; i += WORKGROUP) {
    left[i] = LOWEST;
    if (first + i < V) {
      let summary = summarise(logits[row * V + first + i], first + i);
      left[i] = summary.best;
      mine = merge(mine, summary);
    }
  }
  for (var rank = 0u; rank < K; rank++) {
    let whole = reduce_summary(mine, index);
    if (index == 0u) {
      best[chunk * K + rank] = RankedToken(whole.best_id, whole.best);
      if (rank == 0u) {
        sums[chunk] = SoftmaxPart(whole.raw_best, whole.raw_sum);
      }
    }
    mine.raw_best = LOWEST;
    // An invocation reads and writes its own places of `left` only, so no barrier is needed.
    if (whole.best_id != NO_TOKEN && whole.best_id == mine.best_id) {
      left[whole.best_id - first] = LOWEST;
      mine = best_left(first, index);
    }
  }
}
