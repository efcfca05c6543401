// Chooses the next token of each row, writes it where the next step reads it, and advances the row.
// One workgroup a row. Greedy and untruncated sampling only combine the chunk summaries of adjust-logits.
//
// Truncation in the order of transformers: top_k, then top_p over what top_k kept, then min_p. All three keep an upper
// part of the ranking, tied tokens together, and the draw with the largest logit + noise of the kept tokens is a draw
// from their softmax. So when the best token of all is drawn, it stands without a look at the row: every truncation
// keeps it. Otherwise the row is searched for the cut.
//
// The search sees a token as its distance below the best one, in fixed point with 27 fractional bits, and its
// probability as an integer, so that counts and sums are exact in any order. Tokens more than 21.4 below the best
// (a probability of 5e-10 of the best one's) are left out by every truncation.

override V: u32;
override RING: u32;
override CHUNKS: u32;

@group(0) @binding(0) var<storage, read> settings: array<SamplerSettings>;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read> chunks: array<LogitSummary>;
@group(0) @binding(3) var<storage, read> adjusted: array<f32>;
@group(0) @binding(4) var<storage, read_write> counts: array<u32>;
@group(0) @binding(5) var<storage, read_write> rows: array<Row>;
@group(0) @binding(6) var<storage, read_write> results: array<vec2u>;
@group(0) @binding(7) var<storage, read_write> candidates: array<u32>;

const FARTHEST = 21.4f;
const TOO_FAR = 0xffffffffu;

var<workgroup> candidate_count: atomic<u32>;
// A value that one invocation computes for all.
var<workgroup> shared_word: u32;

fn distance_below(best: f32, value: f32) -> u32 {
  let difference = best - value;
  return select(TOO_FAR, u32(difference * 0x1p27f), difference < FARTHEST);
}

// exp(-distance) * 2^31; at least 1.
fn weight_at(distance: u32) -> u32 {
  return u32(exp(f32(distance) * -0x1p-27f) * 0x1p31f + 0.5f);
}

// The largest distance that is kept among candidates up to `limit`, so that the kept amounts just reach what is asked.
fn find_cut(asked: vec2u, share: f32, by_weight: bool, limit: u32, best: f32, row: u32, size: u32, index: u32) -> u32 {
  var wanted = asked;
  var prefix = 0u;
  for (var level = 0u; level < 4u; level++) {
    let shift = 24u - 8u * level;
    clear_bins(index);
    for (var i = index; i < size; i += WORKGROUP) {
      let distance = distance_below(best, adjusted[row * V + candidates[row * V + i]]);
      if (distance <= limit && (level == 0u || (distance >> (shift + 8u)) == prefix)) {
        add_to_bin((distance >> shift) & 255u, weight_at(distance));
      }
    }
    let found = find_bin(wanted, select(0f, share, level == 0u), by_weight, index);
    prefix = (prefix << 8u) | found.bin;
    wanted = subtract64(found.wanted, found.before);
    // A bin with one token, or one that is wanted whole, needs no finer look.
    if (found.count <= 1u || all(found.within == wanted)) {
      return (prefix << shift) | ((1u << shift) - 1u);
    }
  }
  return prefix;
}

// Four loads in flight; those beyond the row give its last value, which the caller passes over.
fn load_four(row: u32, first: u32) -> vec4f {
  var values: vec4f;
  for (var lane = 0u; lane < 4u; lane++) {
    values[lane] = adjusted[row * V + min(first + lane * WORKGROUP, V - 1u)];
  }
  return values;
}

// In steps of 1/8 of distance: the cut of top_k if there is one, else of top_p. No token beyond it is kept.
fn find_coarse_cut(sampler: SamplerSettings, best: f32, row: u32, index: u32) -> FoundBin {
  clear_bins(index);
  for (var first = index; first < V; first += WORKGROUP * 4u) {
    let values = load_four(row, first);
    for (var lane = 0u; lane < 4u; lane++) {
      let distance = distance_below(best, values[lane]);
      if (distance != TOO_FAR && first + lane * WORKGROUP < V) {
        add_to_bin(distance >> 24u, weight_at(distance));
      }
    }
  }
  let by_weight = sampler.top_k == 0u;
  return find_bin(vec2u(sampler.top_k, 0u), select(0f, sampler.top_p, by_weight), by_weight, index);
}

// Lists the tokens up to a distance, in no particular order, and gives their number.
fn list_candidates(limit: u32, best: f32, row: u32, index: u32) -> u32 {
  if (index == 0u) {
    atomicStore(&candidate_count, 0u);
  }
  workgroupBarrier();
  for (var first = index; first < V; first += WORKGROUP * 4u) {
    let values = load_four(row, first);
    for (var lane = 0u; lane < 4u; lane++) {
      let id = first + lane * WORKGROUP;
      let distance = distance_below(best, values[lane]);
      if (distance != TOO_FAR && distance <= limit && id < V) {
        candidates[row * V + atomicAdd(&candidate_count, 1u)] = id;
      }
    }
  }
  workgroupBarrier();
  storageBarrier();
  if (index == 0u) {
    shared_word = atomicLoad(&candidate_count);
  }
  return workgroupUniformLoad(&shared_word);
}

// The largest distance that top_k, top_p and min_p keep, and how many candidates it was sought among.
fn find_limit(sampler: SamplerSettings, best: f32, row: u32, index: u32) -> vec2u {
  let min_p_limit = select(TOO_FAR - 1u, u32(sampler.min_p_distance * 0x1p27f), sampler.min_p_distance < FARTHEST);
  let is_searched = sampler.top_k > 0u || sampler.top_p < 1f;
  var limit = min_p_limit;
  var wanted = vec2u(0);
  if (is_searched) {
    let coarse = find_coarse_cut(sampler, best, row, index);
    limit = (coarse.bin << 24u) | 0xffffffu;
    wanted = coarse.wanted;
  }
  let size = list_candidates(limit, best, row, index);
  // First by count for top_k, then by weight for top_p.
  for (var step = 0u; step < 2u; step++) {
    let by_weight = step == 1u;
    let is_wanted = select(sampler.top_k > 0u, sampler.top_p < 1f, by_weight);
    if (is_wanted) {
      // After top_k, the whole that top_p takes a share of is what is left in the list.
      let share = select(0f, sampler.top_p, by_weight && sampler.top_k > 0u);
      limit = find_cut(wanted, share, by_weight, limit, best, row, size, index);
    }
  }
  return vec2u(min(limit, min_p_limit), size);
}

fn draw_truncated(sampler: SamplerSettings, generated: u32, best: f32, row: u32, index: u32) -> u32 {
  let found = find_limit(sampler, best, row, index);
  var summary = empty_summary();
  for (var i = index; i < found.y; i += WORKGROUP) {
    let id = candidates[row * V + i];
    let value = adjusted[row * V + id];
    if (distance_below(best, value) <= found.x) {
      let noisy = value - best + gumbel_noise(sampler.seed, generated, id);
      summary = merge(summary, LogitSummary(LOWEST, NO_TOKEN, noisy, id, LOWEST, 0f));
    }
  }
  return reduce_summary(summary, index).drawn_id;
}

fn combine_chunks(row: u32, index: u32) -> LogitSummary {
  var summary = empty_summary();
  for (var i = index; i < CHUNKS; i += WORKGROUP) {
    summary = merge(summary, chunks[row * CHUNKS + i]);
  }
  return reduce_summary(summary, index);
}

fn append_result(row: u32, slot: u32, token: u32, logprob: f32) {
  var next = rows[row];
  results[slot * RING + next.generated % RING] = vec2u(token, bitcast<u32>(logprob));
  next.generated += 1u;
  next.position += 1u;
  next.cache_index += 1u;
  // After a fault the next step still runs; its result does not matter, but its reads must stay inside the table.
  next.token = select(token, 0u, token == NO_TOKEN);
  rows[row] = next;
  if (token != NO_TOKEN) {
    let word = counts[slot * V + token];
    if ((word & COUNT_GENERATED) < COUNT_GENERATED) {
      counts[slot * V + token] = word + 1u;
    }
  }
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) index: u32) {
  let row = workgroup.x;
  if (index == 0u) {
    shared_word = rows[row].slot;
  }
  let slot = workgroupUniformLoad(&shared_word);
  let sampler = settings[slot];
  let generated = rows[row].generated;
  let whole = combine_chunks(row, index);

  let is_fault = whole.best == FAULT || whole.best_id == NO_TOKEN;
  let is_greedy = (sampler.flags & SAMPLER_GREEDY) != 0u;
  let truncates = (sampler.flags & SAMPLER_TRUNCATES) != 0u;
  if (index == 0u) {
    shared_word = u32(truncates && !is_greedy && !is_fault && whole.drawn_id != whole.best_id);
  }
  var token = select(whole.drawn_id, whole.best_id, is_greedy);
  if (workgroupUniformLoad(&shared_word) != 0u) {
    token = draw_truncated(sampler, generated, whole.best, row, index);
  }
  if (index == 0u) {
    token = select(token, NO_TOKEN, is_fault);
    var logprob = 0f;
    if ((sampler.flags & SAMPLER_LOGPROB) != 0u && token != NO_TOKEN) {
      logprob = logits[row * V + token] - whole.raw_best - log(whole.raw_sum);
    }
    append_result(row, slot, token, logprob);
  }
}
