// The K best tokens of each row out of those of its chunks, with the natural log of their softmax, and the same for one
// given token. One workgroup a row; an invocation keeps a place in the ranking of each of its chunks, and each round
// the best of all places moves on.

override V: u32;
override K: u32;
override CHUNKS: u32;

@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> best: array<RankedToken>;
@group(0) @binding(2) var<storage, read> sums: array<SoftmaxPart>;
// Per row: the given token, then the K best.
@group(0) @binding(4) var<storage, read_write> logprobs: array<RankedToken>;

fn best_place(row: u32, index: u32, places: ptr<function, array<u32, CHUNKS_PER_INVOCATION>>) -> LogitSummary {
  var summary = empty_summary();
  for (var i = 0u; i < CHUNKS_PER_INVOCATION; i++) {
    let chunk = i * WORKGROUP + index;
    if (chunk < CHUNKS && (*places)[i] < K) {
      let token = best[(row * CHUNKS + chunk) * K + (*places)[i]];
      summary = merge(summary, LogitSummary(token.value, token.id, LOWEST, NO_TOKEN, LOWEST, 0f));
    }
  }
  return summary;
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) index: u32) {
  let row = workgroup.x;
  let output = place_of(row) * (K + 1u);
  var places = array<u32, CHUNKS_PER_INVOCATION>();
  var mine = best_place(row, index, &places);
  for (var chunk = index; chunk < CHUNKS; chunk += WORKGROUP) {
    let part = sums[row * CHUNKS + chunk];
    mine = merge(mine, LogitSummary(LOWEST, NO_TOKEN, LOWEST, NO_TOKEN, part.largest, part.sum));
  }
  var log_total = 0f;
  for (var rank = 0u; rank < K; rank++) {
    let whole = reduce_summary(mine, index);
    if (rank == 0u) {
      log_total = select(whole.raw_best + log(whole.raw_sum), FAULT, whole.raw_best == FAULT);
    }
    if (index == 0u) {
      logprobs[output + 1u + rank] = RankedToken(whole.best_id, max(whole.best - log_total, LOWEST));
    }
    mine.raw_best = LOWEST;
    if (whole.best_id != NO_TOKEN && whole.best_id == mine.best_id) {
      places[(whole.best_id / CHUNK) / WORKGROUP] += 1u;
      mine = best_place(row, index, &places);
    }
  }
  if (index == 0u) {
    let id = target_of(row);
    var value = 0f;
    if (id < V) {
      let raw = logits[row * V + id];
      value = select(max(raw - log_total, LOWEST), LOWEST, is_infinite_or_nan(raw));
    }
    logprobs[output] = RankedToken(id, value);
  }
}
