// adjusted[b] = penalised logits[b] / temperature, with a summary of each chunk: its best token, its draw by Gumbel
// noise, and its part of the raw softmax. One workgroup a chunk, so that the next kernel combines summaries instead
// of reading the row again. The adjusted logits are only written when top_k, top_p or min_p will read them.
//
// Order, as in transformers and vLLM: mask, bias, repetition penalty, frequency and presence penalty, temperature.

override V: u32;

const CHUNK = WORKGROUP * PER_INVOCATION;

@group(0) @binding(0) var<storage, read> settings: array<SamplerSettings>;
@group(0) @binding(1) var<storage, read> logits: array<f32>;
@group(0) @binding(2) var<storage, read> counts: array<u32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read> mask: array<u32>;
@group(0) @binding(5) var<storage, read> rows: array<Row>;
@group(0) @binding(6) var<storage, read_write> adjusted: array<f32>;
@group(0) @binding(7) var<storage, read_write> chunks: array<LogitChunk>;

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

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) index: u32) {
  let row = workgroup.y;
  let slot = rows[row].slot;
  let sampler = settings[slot];
  let generated = rows[row].generated;
  let is_greedy = (sampler.flags & SAMPLER_GREEDY) != 0u;
  let wants_logprob = (sampler.flags & SAMPLER_LOGPROB) != 0u;

  var best = LOWEST;
  var best_id = NO_TOKEN;
  var drawn = LOWEST;
  var drawn_id = NO_TOKEN;
  var raw_best = LOWEST;
  var raw_values: array<f32, PER_INVOCATION>;
  for (var i = 0u; i < PER_INVOCATION; i++) {
    let id = workgroup.x * CHUNK + i * WORKGROUP + index;
    raw_values[i] = LOWEST;
    if (id >= V) { continue; }
    let raw = logits[row * V + id];
    if (is_infinite_or_nan(raw) && !is_minus_infinity(raw)) {
      best = FAULT;
      best_id = 0u;
      continue;
    }
    if (!is_minus_infinity(raw)) {
      raw_values[i] = raw;
      raw_best = max(raw_best, raw);
    }
    let value = adjust(raw, sampler, slot, id);
    if ((sampler.flags & SAMPLER_TRUNCATES) != 0u) {
      adjusted[row * V + id] = value;
    }
    if (value == LOWEST) { continue; }
    if (value > best) {
      best = value;
      best_id = id;
    }
    if (!is_greedy) {
      let noisy = value + gumbel_noise(sampler.seed, generated, id);
      if (noisy > drawn) {
        drawn = noisy;
        drawn_id = id;
      }
    }
  }

  var chunk: LogitChunk;
  chunk.best = reduce_max(best, index);
  chunk.best_id = reduce_id(best, best_id, chunk.best, index);
  chunk.drawn = chunk.best;
  chunk.drawn_id = chunk.best_id;
  if (!is_greedy) {
    chunk.drawn = reduce_max(drawn, index);
    chunk.drawn_id = reduce_id(drawn, drawn_id, chunk.drawn, index);
  }
  if (wants_logprob) {
    chunk.raw_best = reduce_max(raw_best, index);
    var sum = 0f;
    for (var i = 0u; i < PER_INVOCATION; i++) {
      if (raw_values[i] > LOWEST) {
        sum += exp(raw_values[i] - chunk.raw_best);
      }
    }
    chunk.raw_sum = reduce_sum(sum, index);
  }
  if (index == 0u) {
    chunks[row * grid.x + workgroup.x] = chunk;
  }
}
