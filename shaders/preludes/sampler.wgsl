// What the sampling kernels share: the settings of a sequence, the summary of its logits, and noise.
// Expects: const WORKGROUP, at least 16.

struct SamplerSettings {
  temperature: f32,
  // Share of the probability that is kept, after top_k; 1 keeps all.
  top_p: f32,
  // Natural log of best probability over kept probability: -ln(min_p). 1e9 keeps all.
  min_p_distance: f32,
  frequency_penalty: f32,
  presence_penalty: f32,
  repetition_penalty: f32,
  // Number of tokens that are kept; 0 keeps all.
  top_k: u32,
  // SAMPLER_* bits.
  flags: u32,
  seed: vec2u,
  // Ids from here on are padding rows of the head and never sampled.
  vocabulary: u32,
  reserved: u32,
}
const SAMPLER_GREEDY = 1u;
const SAMPLER_PENALTIES = 2u;
const SAMPLER_BIAS = 4u;
const SAMPLER_MASK = 8u;
const SAMPLER_LOGPROB = 16u;
const SAMPLER_TRUNCATES = 32u;

// Summary of some of a row's logits. Ids break ties: the lowest wins, as in torch.argmax.
struct LogitSummary {
  // Of the adjusted logits; FAULT when a logit is NaN or +infinity.
  best: f32,
  best_id: u32,
  // Of the adjusted logits plus Gumbel noise: a draw from their softmax.
  drawn: f32,
  drawn_id: u32,
  // Of the raw logits: largest, and sum of exp(logit - largest). Kept only for log-probabilities.
  raw_best: f32,
  raw_sum: f32,
}

// Words of the token counts: generated so often (low bits), and whether the prompt has the token.
const COUNT_GENERATED = 0xffffu;
const COUNT_IN_PROMPT = 0x80000000u;

// Stands for -infinity, which WGSL need not support in arithmetic.
const LOWEST = -0x1.fffffep+127f;
const FAULT = 0x1.fffffep+127f;
const NO_TOKEN = 0xffffffffu;

fn is_infinite_or_nan(value: f32) -> bool {
  // By bits: a compiler may assume that no NaN exists.
  return (bitcast<u32>(value) & 0x7f800000u) == 0x7f800000u;
}

fn is_minus_infinity(value: f32) -> bool {
  return bitcast<u32>(value) == 0xff800000u;
}

// PCG4D of Jarzynski and Olano, "Hash Functions for GPU Rendering" (JCGT 2020).
fn hash(input: vec4u) -> vec4u {
  var v = input * 1664525u + 1013904223u;
  v += v.yzxy * v.wxyz;
  v ^= v >> vec4u(16u);
  v += v.yzxy * v.wxyz;
  return v;
}

// Standard Gumbel noise, a pure function of its arguments: the arg max of logit + noise is a draw from the softmax,
// in whatever order and on whatever device the tokens are visited.
fn gumbel_noise(seed: vec2u, counter: u32, id: u32) -> f32 {
  let bits = hash(vec4u(seed, counter, id)).x;
  // Exponential noise -ln(1 - u) with u = (bits + 0.5) / 2^32, by its series where 1 - u would round.
  let u = (f32(bits) + 0.5) * 0x1p-32f;
  let series = u * (1f + u * (0.5f + u * (1f / 3f + u * (0.25f + u * 0.2f))));
  let exponential = select(-log((f32(~bits) + 0.5) * 0x1p-32f), series, u < 0.0625f);
  return -log(exponential);
}

fn empty_summary() -> LogitSummary {
  return LogitSummary(LOWEST, NO_TOKEN, LOWEST, NO_TOKEN, LOWEST, 0f);
}

fn merge(a: LogitSummary, b: LogitSummary) -> LogitSummary {
  var merged = a;
  if (b.best > a.best || (b.best == a.best && b.best_id < a.best_id)) {
    merged.best = b.best;
    merged.best_id = b.best_id;
  }
  if (b.drawn > a.drawn || (b.drawn == a.drawn && b.drawn_id < a.drawn_id)) {
    merged.drawn = b.drawn;
    merged.drawn_id = b.drawn_id;
  }
  if (b.raw_best > LOWEST) {
    merged.raw_best = max(a.raw_best, b.raw_best);
    merged.raw_sum = a.raw_sum * exp(a.raw_best - merged.raw_best) + b.raw_sum * exp(b.raw_best - merged.raw_best);
  }
  return merged;
}

const MERGERS = 16u;
var<workgroup> summaries: array<LogitSummary, WORKGROUP>;

// All invocations' summaries in one, by few barriers instead of one a level. Every invocation must call, and every one
// gets the result. There is no subgroup variant: a token must not depend on the subgroup's size.
fn reduce_summary(mine: LogitSummary, index: u32) -> LogitSummary {
  summaries[index] = mine;
  workgroupBarrier();
  if (index < MERGERS) {
    var sum = mine;
    for (var i = index + MERGERS; i < WORKGROUP; i += MERGERS) {
      sum = merge(sum, summaries[i]);
    }
    summaries[index] = sum;
  }
  workgroupBarrier();
  if (index == 0u) {
    var sum = summaries[0];
    for (var i = 1u; i < MERGERS; i++) {
      sum = merge(sum, summaries[i]);
    }
    summaries[0] = sum;
  }
  workgroupBarrier();
  let whole = summaries[0];
  workgroupBarrier();
  return whole;
}
