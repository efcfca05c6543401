// adjusted[b] = penalised logits[b] / temperature, with a summary of each chunk: its best token, its draw by Gumbel
// noise, and its part of the raw softmax. One workgroup a chunk, so that the next kernel combines summaries instead
// of reading the row again. The adjusted logits are only written when top_k, top_p or min_p will read them.
//
// Order, as in transformers and vLLM: mask, bias, repetition penalty, frequency and presence penalty, temperature.

override V: u32;

@group(0) @binding(0) var<storage, read> settings: array<SamplerSettings>;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read> counts: array<u32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read> mask: array<u32>;
@group(0) @binding(5) var<storage, read> rows: array<Row>;
@group(0) @binding(6) var<storage, read_write> adjusted: array<f32>;
@group(0) @binding(7) var<storage, read_write> chunks: array<LogitSummary>;

fn is_banned(sampler: SamplerSettings, slot: u32, id: u32) -> bool {
  if (id >= sampler.vocabulary) { return true; }
  if ((sampler.flags & SAMPLER_MASK) == 0u) { return false; }
  let word = mask[slot * ((V + 31u) / 32u) + id / 32u];
  return (word & (1u << (id % 32u))) == 0u;
}

fn penalise(value: f32, sampler: SamplerSettings, slot: u32, id: u32) -> f32 {
  let word = counts[slot * V + id];
  if (word == 0u) { return value; }
  var result = select(value * sampler.repetition_penalty, value / sampler.repetition_penalty, value > 0f);
  let generated = word & COUNT_GENERATED;
  if (generated > 0u) {
    result -= sampler.frequency_penalty * f32(generated) + sampler.presence_penalty;
  }
  return result;
}

fn adjust(raw: f32, sampler: SamplerSettings, slot: u32, id: u32) -> f32 {
  if (is_minus_infinity(raw) || is_banned(sampler, slot, id)) { return LOWEST; }
  var value = raw;
  if ((sampler.flags & SAMPLER_BIAS) != 0u) {
    value += bias[slot * V + id];
  }
  if ((sampler.flags & SAMPLER_PENALTIES) != 0u) {
    value = penalise(value, sampler, slot, id);
  }
  // Keeps the result apart from LOWEST and FAULT however small the temperature is.
  return clamp(value / sampler.temperature, -1e30f, 1e30f);
}

fn summarise(raw: f32, row: u32, slot: u32, id: u32, sampler: SamplerSettings, generated: u32) -> LogitSummary {
  var summary = empty_summary();
  if (is_infinite_or_nan(raw) && !is_minus_infinity(raw)) {
    summary.best = FAULT;
    return summary;
  }
  if ((sampler.flags & SAMPLER_LOGPROB) != 0u && !is_minus_infinity(raw)) {
    summary.raw_best = raw;
    summary.raw_sum = 1f;
  }
  let value = adjust(raw, sampler, slot, id);
  if ((sampler.flags & SAMPLER_TRUNCATES) != 0u) {
    adjusted[row * V + id] = value;
  }
  if (value != LOWEST) {
    summary.best = value;
    summary.best_id = id;
    if ((sampler.flags & SAMPLER_GREEDY) == 0u) {
      summary.drawn = value + gumbel_noise(sampler.seed, generated, id);
      summary.drawn_id = id;
    }
  }
  return summary;
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) index: u32) {
  let row = workgroup.y;
  let slot = rows[row].slot;
  let sampler = settings[slot];
  let generated = rows[row].generated;
  var summary = empty_summary();
  let end = min(V, (workgroup.x + 1u) * CHUNK);
  for (var id = workgroup.x * CHUNK + index; id < end; id += WORKGROUP) {
    summary = merge(summary, summarise(logits[row * V + id], row, slot, id, sampler, generated));
  }
  summary = reduce_summary(summary, index);
  if (index == 0u) {
    chunks[row * grid.x + workgroup.x] = summary;
  }
}
