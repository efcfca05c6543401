// The choice of a token and the ranking of log-probabilities: adjust-logits, sample-token, top-logprobs and
// merge-logprobs of the same names in WGSL, where the method is explained.
#include "common.cuh"

constexpr u32 SAMPLE_THREADS = 256;
constexpr u32 CHUNK = 1024;

struct SamplerSettings {
  float temperature, top_p, min_p_distance, frequency_penalty, presence_penalty, repetition_penalty;
  u32 top_k, flags;
  u32 seed[2];
  u32 vocabulary, reserved;
};
enum : u32 {
  SAMPLER_GREEDY = 1,
  SAMPLER_PENALTIES = 2,
  SAMPLER_BIAS = 4,
  SAMPLER_MASK = 8,
  SAMPLER_LOGPROB = 16,
  SAMPLER_TRUNCATES = 32,
  COUNT_GENERATED = 0xffff,
  NO_TOKEN = 0xffffffff,
};

struct LogitSummary {
  float best;
  u32 best_id;
  float drawn;
  u32 drawn_id;
  float raw_best, raw_sum;
};
struct RankedToken {
  u32 id;
  float value;
};

#define LOWEST (-3.40282346638528859812e+38f)
#define FAULT 3.40282346638528859812e+38f

__device__ __forceinline__ bool is_infinite_or_nan(float value) {
  return (__float_as_uint(value) & 0x7f800000u) == 0x7f800000u;
}
__device__ __forceinline__ bool is_minus_infinity(float value) { return __float_as_uint(value) == 0xff800000u; }

// PCG4D of Jarzynski and Olano (JCGT 2020); the first word of the hash.
__device__ __forceinline__ u32 hash(u32 x, u32 y, u32 z, u32 w) {
  x = x * 1664525u + 1013904223u;
  y = y * 1664525u + 1013904223u;
  z = z * 1664525u + 1013904223u;
  w = w * 1664525u + 1013904223u;
  // v += v.yzxy * v.wxyz takes all four from the old v.
#pragma unroll
  for (int round = 0; round < 2; round++) {
    const u32 nx = x + y * w, ny = y + z * x, nz = z + x * y, nw = w + y * z;
    x = nx, y = ny, z = nz, w = nw;
    if (round == 0) x ^= x >> 16, y ^= y >> 16, z ^= z >> 16, w ^= w >> 16;
  }
  return x;
}

__device__ __noinline__ float gumbel_noise(const u32 seed[2], u32 counter, u32 id) {
  const u32 bits = hash(seed[0], seed[1], counter, id);
  const float u = ((float)bits + 0.5f) * 0x1p-32f;
  const float series = u * (1.0f + u * (0.5f + u * (1.0f / 3.0f + u * (0.25f + u * 0.2f))));
  const float exponential = u < 0.0625f ? series : -logf(((float)(~bits) + 0.5f) * 0x1p-32f);
  return -logf(exponential);
}

__device__ __forceinline__ LogitSummary empty_summary() { return {LOWEST, NO_TOKEN, LOWEST, NO_TOKEN, LOWEST, 0.0f}; }

__device__ __forceinline__ LogitSummary merge(LogitSummary a, LogitSummary b) {
  if (b.best > a.best || (b.best == a.best && b.best_id < a.best_id)) a.best = b.best, a.best_id = b.best_id;
  if (b.drawn > a.drawn || (b.drawn == a.drawn && b.drawn_id < a.drawn_id)) a.drawn = b.drawn, a.drawn_id = b.drawn_id;
  if (b.raw_best > LOWEST) {
    const float largest = fmaxf(a.raw_best, b.raw_best);
    a.raw_sum = a.raw_sum * expf(a.raw_best - largest) + b.raw_sum * expf(b.raw_best - largest);
    a.raw_best = largest;
  }
  return a;
}

__device__ __forceinline__ LogitSummary shuffle(LogitSummary a, int offset) {
  return {__shfl_xor_sync(~0u, a.best, offset),     __shfl_xor_sync(~0u, a.best_id, offset),
          __shfl_xor_sync(~0u, a.drawn, offset),    __shfl_xor_sync(~0u, a.drawn_id, offset),
          __shfl_xor_sync(~0u, a.raw_best, offset), __shfl_xor_sync(~0u, a.raw_sum, offset)};
}

// All threads' summaries in one; every thread must call and gets the same result. In few instructions: written out it took a
// decode step longer, supposedly because what does not fit the instruction caches beside the step comes from far for each token.
__device__ __noinline__ LogitSummary reduce_summary(LogitSummary mine) {
  __shared__ LogitSummary parts[SAMPLE_THREADS / 32];
#pragma unroll 1
  for (int offset = 1; offset < 32; offset *= 2) {
    const LogitSummary other = shuffle(mine, offset);
    // The same order on both sides, so that all lanes agree to the last bit.
    const bool is_second = threadIdx.x & offset;
    mine = merge(is_second ? other : mine, is_second ? mine : other);
  }
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = mine;
  __syncthreads();
  LogitSummary whole = parts[0];
#pragma unroll 1
  for (int i = 1; i < SAMPLE_THREADS / 32; i++) whole = merge(whole, parts[i]);
  __syncthreads();
  return whole;
}

__device__ __forceinline__ bool is_banned(const SamplerSettings& sampler, const u32* mask, u32 V, u32 slot, u32 id) {
  if (id >= sampler.vocabulary) return true;
  if (!(sampler.flags & SAMPLER_MASK)) return false;
  return !(mask[slot * ((V + 31) / 32) + id / 32] & (1u << (id % 32)));
}

__device__ __forceinline__ float adjust(float raw, const SamplerSettings& sampler, const u32* counts, const float* bias,
                                        const u32* mask, u32 V, u32 slot, u32 id) {
  if (is_minus_infinity(raw) || is_banned(sampler, mask, V, slot, id)) return LOWEST;
  float value = raw;
  if (sampler.flags & SAMPLER_BIAS) value += bias[(size_t)slot * V + id];
  const u32 word = sampler.flags & SAMPLER_PENALTIES ? counts[(size_t)slot * V + id] : 0;
  if (word) {
    value = value > 0.0f ? value / sampler.repetition_penalty : value * sampler.repetition_penalty;
    const u32 generated = word & COUNT_GENERATED;
    if (generated) value -= sampler.frequency_penalty * (float)generated + sampler.presence_penalty;
  }
  return fminf(fmaxf(value / sampler.temperature, -1e30f), 1e30f);
}

KERNEL(adjust_logits, SAMPLE_THREADS, 0)
(const SamplerSettings* settings, const float* logits, const u32* counts, const float* bias, const u32* mask,
 const Row* rows, float* adjusted, LogitSummary* chunks, u32 V) {
  begin_kernel();
  const u32 row = blockIdx.y, slot = rows[row].slot, generated = rows[row].generated;
  const SamplerSettings sampler = settings[slot];
  LogitSummary summary = empty_summary();
  const u32 end = min(V, (blockIdx.x + 1) * CHUNK);
#pragma unroll 1
  for (u32 id = blockIdx.x * CHUNK + threadIdx.x; id < end; id += SAMPLE_THREADS) {
    const float raw = logits[(size_t)row * V + id];
    if (is_infinite_or_nan(raw) && !is_minus_infinity(raw)) {
      summary.best = FAULT, summary.best_id = NO_TOKEN;
      continue;
    }
    if ((sampler.flags & SAMPLER_LOGPROB) && !is_minus_infinity(raw)) {
      const float largest = fmaxf(summary.raw_best, raw);
      summary.raw_sum = summary.raw_sum * expf(summary.raw_best - largest) + expf(raw - largest);
      summary.raw_best = largest;
    }
    const float value = adjust(raw, sampler, counts, bias, mask, V, slot, id);
    if (sampler.flags & SAMPLER_TRUNCATES) adjusted[(size_t)row * V + id] = value;
    if (value == LOWEST) continue;
    // A thread's tokens come in their order, so that of equal ones the first stays.
    if (value > summary.best) summary.best = value, summary.best_id = id;
    if (sampler.flags & SAMPLER_GREEDY) continue;
    const float drawn = value + gumbel_noise(sampler.seed, generated, id);
    if (drawn > summary.drawn) summary.drawn = drawn, summary.drawn_id = id;
  }
  summary = reduce_summary(summary);
  if (threadIdx.x == 0) chunks[row * gridDim.x + blockIdx.x] = summary;
}

// The search for top_k, top_p and min_p: distances below the best logit in fixed point, weights as integers.
constexpr float FARTHEST = 21.4f;
constexpr u32 TOO_FAR = 0xffffffff;
constexpr u32 BINS = 256;
typedef unsigned long long u64;

struct Histogram {
  u32 count[BINS];
  u64 weight[BINS];
};
struct FoundBin {
  u32 bin, count;
  u64 wanted, before, within;
};

__device__ __forceinline__ u32 distance_below(float best, float value) {
  const float difference = best - value;
  return difference < FARTHEST ? (u32)(difference * 0x1p27f) : TOO_FAR;
}

__device__ __forceinline__ u32 weight_at(u32 distance) {
  return (u32)(expf((float)distance * -0x1p-27f) * 0x1p31f + 0.5f);
}

__device__ __forceinline__ void clear_bins(Histogram& bins) {
  for (u32 bin = threadIdx.x; bin < BINS; bin += SAMPLE_THREADS) bins.count[bin] = 0, bins.weight[bin] = 0;
  __syncthreads();
}

__device__ __forceinline__ void add_to_bin(Histogram& bins, u32 bin, u32 weight) {
  atomicAdd(&bins.count[bin], 1u);
  atomicAdd(&bins.weight[bin], (u64)weight);
}

// The product as the WGSL twin computes it, in f32.
__device__ __forceinline__ u64 scale64(u64 amount, float factor) {
  const float product = ((float)(u32)(amount >> 32) * 0x1p32f + (float)(u32)amount) * factor;
  const float high = floorf(product * 0x1p-32f);
  return ((u64)(u32)high << 32) | (u32)(product - high * 0x1p32f);
}

// The first bin up to which the amounts reach `wanted`, or, with a `share`, that share of all amounts.
__device__ FoundBin find_bin(Histogram& bins, u64 wanted, float share, bool by_weight) {
  __shared__ FoundBin found;
  __syncthreads();
  if (threadIdx.x == 0) {
    if (share > 0.0f) {
      u64 total = 0;
      for (u32 bin = 0; bin < BINS; bin++) total += by_weight ? bins.weight[bin] : bins.count[bin];
      wanted = scale64(total, share);
      if (wanted == 0) wanted = 1;
    }
    u64 before = 0;
    u32 bin = 0;
    for (; bin < BINS - 1; bin++) {
      const u64 sum = before + (by_weight ? bins.weight[bin] : bins.count[bin]);
      if (sum >= wanted) break;
      before = sum;
    }
    found = {bin, bins.count[bin], wanted, before, by_weight ? bins.weight[bin] : bins.count[bin]};
  }
  __syncthreads();
  const FoundBin result = found;
  __syncthreads();
  return result;
}

// The largest distance that is kept among candidates up to `limit`, so that the kept amounts just reach what is asked.
__device__ u32 find_cut(Histogram& bins, u64 wanted, float share, bool by_weight, u32 limit, float best,
                        const float* adjusted, const u32* candidates, u32 size) {
  u32 prefix = 0;
  for (u32 level = 0; level < 4; level++) {
    const u32 shift = 24 - 8 * level;
    clear_bins(bins);
    for (u32 i = threadIdx.x; i < size; i += SAMPLE_THREADS) {
      const u32 distance = distance_below(best, adjusted[candidates[i]]);
      if (distance <= limit && (level == 0 || (distance >> (shift + 8)) == prefix))
        add_to_bin(bins, (distance >> shift) & 255u, weight_at(distance));
    }
    const FoundBin found = find_bin(bins, wanted, level == 0 ? share : 0.0f, by_weight);
    prefix = (prefix << 8) | found.bin;
    wanted = found.wanted - found.before;
    if (found.count <= 1 || found.within == wanted) return (prefix << shift) | ((1u << shift) - 1);
  }
  return prefix;
}

__device__ __noinline__ u32 draw_truncated(Histogram& bins, const SamplerSettings& sampler, u32 generated, float best,
                              const float* adjusted, u32* candidates, u32 V) {
  __shared__ u32 candidate_count;
  const u32 min_p_limit =
      sampler.min_p_distance < FARTHEST ? (u32)(sampler.min_p_distance * 0x1p27f) : TOO_FAR - 1;
  u32 limit = min_p_limit;
  u64 wanted = 0;
  if (sampler.top_k > 0 || sampler.top_p < 1.0f) {
    clear_bins(bins);
    for (u32 id = threadIdx.x; id < V; id += SAMPLE_THREADS) {
      const u32 distance = distance_below(best, adjusted[id]);
      if (distance != TOO_FAR) add_to_bin(bins, distance >> 24, weight_at(distance));
    }
    const bool by_weight = sampler.top_k == 0;
    const FoundBin coarse = find_bin(bins, sampler.top_k, by_weight ? sampler.top_p : 0.0f, by_weight);
    limit = (coarse.bin << 24) | 0xffffffu;
    wanted = coarse.wanted;
  }
  if (threadIdx.x == 0) candidate_count = 0;
  __syncthreads();
  for (u32 id = threadIdx.x; id < V; id += SAMPLE_THREADS) {
    const u32 distance = distance_below(best, adjusted[id]);
    if (distance != TOO_FAR && distance <= limit) candidates[atomicAdd(&candidate_count, 1u)] = id;
  }
  __syncthreads();
  const u32 size = candidate_count;
  if (sampler.top_k > 0) limit = find_cut(bins, wanted, 0.0f, false, limit, best, adjusted, candidates, size);
  if (sampler.top_p < 1.0f)
    limit = find_cut(bins, wanted, sampler.top_k > 0 ? sampler.top_p : 0.0f, true, limit, best, adjusted, candidates, size);
  limit = min(limit, min_p_limit);
  LogitSummary summary = empty_summary();
  for (u32 i = threadIdx.x; i < size; i += SAMPLE_THREADS) {
    const u32 id = candidates[i];
    const float value = adjusted[id];
    if (distance_below(best, value) > limit) continue;
    LogitSummary one = empty_summary();
    one.drawn = value - best + gumbel_noise(sampler.seed, generated, id), one.drawn_id = id;
    summary = merge(summary, one);
  }
  return reduce_summary(summary).drawn_id;
}

KERNEL(sample_token, SAMPLE_THREADS, 0)
(const SamplerSettings* settings, const float* logits, const LogitSummary* chunks, const float* adjusted, u32* counts,
 Row* rows, uint2* results, u32* candidates, u32 V, u32 RING, u32 CHUNKS) {
  __shared__ Histogram bins;
  begin_kernel();
  const u32 row = blockIdx.x, slot = rows[row].slot, generated = rows[row].generated;
  const SamplerSettings sampler = settings[slot];
  LogitSummary whole = empty_summary();
#pragma unroll 1
  for (u32 i = threadIdx.x; i < CHUNKS; i += SAMPLE_THREADS) whole = merge(whole, chunks[row * CHUNKS + i]);
  whole = reduce_summary(whole);
  const bool is_fault = whole.best == FAULT || whole.best_id == NO_TOKEN;
  const bool is_greedy = sampler.flags & SAMPLER_GREEDY;
  u32 token = is_greedy ? whole.best_id : whole.drawn_id;
  if ((sampler.flags & SAMPLER_TRUNCATES) && !is_greedy && !is_fault && whole.drawn_id != whole.best_id)
    token = draw_truncated(bins, sampler, generated, whole.best, adjusted + (size_t)row * V,
                           candidates + (size_t)row * V, V);
  // No thread may still need the row that the first one moves on.
  __syncthreads();
  if (threadIdx.x != 0) return;
  if (is_fault) token = NO_TOKEN;
  float logprob = 0;
  if ((sampler.flags & SAMPLER_LOGPROB) && token != NO_TOKEN)
    logprob = logits[(size_t)row * V + token] - whole.raw_best - logf(whole.raw_sum);
  Row next = rows[row];
  results[slot * RING + next.generated % RING] = make_uint2(token, __float_as_uint(logprob));
  next.generated++;
  for (int axis = 0; axis < 3; axis++) next.position[axis]++;
  next.cache_index++;
  next.token = token == NO_TOKEN ? 0 : token;
  rows[row] = next;
  if (token == NO_TOKEN) return;
  u32* count = counts + (size_t)slot * V + token;
  if ((*count & COUNT_GENERATED) < COUNT_GENERATED) (*count)++;
}

__device__ __forceinline__ LogitSummary best_left(const float* left, u32 first) {
  LogitSummary summary = empty_summary();
  for (u32 i = threadIdx.x; i < CHUNK; i += SAMPLE_THREADS)
    if (left[i] > summary.best) summary.best = left[i], summary.best_id = first + i;
  return summary;
}

KERNEL(top_logprobs, SAMPLE_THREADS, 0)(const float* logits, RankedToken* best, float2* sums, u32 V, u32 K) {
  __shared__ float left[CHUNK];
  begin_kernel();
  const u32 row = blockIdx.y, chunk = row * gridDim.x + blockIdx.x, first = blockIdx.x * CHUNK;
  LogitSummary mine = empty_summary();
  for (u32 i = threadIdx.x; i < CHUNK; i += SAMPLE_THREADS) {
    left[i] = LOWEST;
    if (first + i >= V) continue;
    const float raw = logits[(size_t)row * V + first + i];
    LogitSummary one = empty_summary();
    if (!is_minus_infinity(raw)) {
      if (is_infinite_or_nan(raw)) one.raw_best = FAULT;
      else one = {raw, first + i, LOWEST, NO_TOKEN, raw, 1.0f};
    }
    left[i] = one.best;
    mine = merge(mine, one);
  }
  for (u32 rank = 0; rank < K; rank++) {
    const LogitSummary whole = reduce_summary(mine);
    if (threadIdx.x == 0) {
      best[(size_t)chunk * K + rank] = {whole.best_id, whole.best};
      if (rank == 0) sums[chunk] = make_float2(whole.raw_best, whole.raw_sum);
    }
    mine.raw_best = LOWEST;
    if (whole.best_id != NO_TOKEN && whole.best_id == mine.best_id) {
      left[whole.best_id - first] = LOWEST;
      mine = best_left(left, first);
    }
  }
}

// A thread keeps a place in the ranking of each of its chunks; rows of up to SAMPLE_THREADS * MOST_CHUNKS chunks.
constexpr u32 MOST_CHUNKS = 2;

__device__ __forceinline__ LogitSummary best_place(const RankedToken* best, const u32* places, u32 row, u32 CHUNKS, u32 K) {
  LogitSummary summary = empty_summary();
#pragma unroll
  for (u32 i = 0; i < MOST_CHUNKS; i++) {
    const u32 chunk = i * SAMPLE_THREADS + threadIdx.x;
    if (chunk >= CHUNKS || places[i] >= K) continue;
    const RankedToken token = best[((size_t)row * CHUNKS + chunk) * K + places[i]];
    summary = merge(summary, {token.value, token.id, LOWEST, NO_TOKEN, LOWEST, 0.0f});
  }
  return summary;
}

__device__ __forceinline__ void merge_logprobs(const float* logits, const RankedToken* best, const float2* sums,
                                               RankedToken* logprobs, u32 target, u32 place, u32 V, u32 K, u32 CHUNKS) {
  const u32 row = blockIdx.x;
  const size_t output = (size_t)place * (K + 1);
  u32 places[MOST_CHUNKS] = {};
  LogitSummary mine = best_place(best, places, row, CHUNKS, K);
  for (u32 chunk = threadIdx.x; chunk < CHUNKS; chunk += SAMPLE_THREADS) {
    const float2 part = sums[row * CHUNKS + chunk];
    mine = merge(mine, {LOWEST, NO_TOKEN, LOWEST, NO_TOKEN, part.x, part.y});
  }
  float log_total = 0;
  for (u32 rank = 0; rank < K; rank++) {
    const LogitSummary whole = reduce_summary(mine);
    if (rank == 0) log_total = whole.raw_best == FAULT ? FAULT : whole.raw_best + logf(whole.raw_sum);
    if (threadIdx.x == 0) logprobs[output + 1 + rank] = {whole.best_id, fmaxf(whole.best - log_total, LOWEST)};
    mine.raw_best = LOWEST;
    if (whole.best_id != NO_TOKEN && whole.best_id == mine.best_id) {
      const u32 index = (whole.best_id / CHUNK) / SAMPLE_THREADS;
#pragma unroll
      for (u32 i = 0; i < MOST_CHUNKS; i++) places[i] += i == index;
      mine = best_place(best, places, row, CHUNKS, K);
    }
  }
  if (threadIdx.x != 0) return;
  float value = 0;
  if (target < V) {
    const float raw = logits[(size_t)row * V + target];
    value = is_infinite_or_nan(raw) ? LOWEST : fmaxf(raw - log_total, LOWEST);
  }
  logprobs[output] = {target, value};
}

KERNEL(merge_logprobs__target_list, SAMPLE_THREADS, 0)
(const float* logits, const RankedToken* best, const float2* sums, const u32* targets, RankedToken* logprobs, u32 V,
 u32 K, u32 CHUNKS) {
  begin_kernel();
  merge_logprobs(logits, best, sums, logprobs, targets[blockIdx.x], blockIdx.x, V, K, CHUNKS);
}

KERNEL(merge_logprobs__target_row, SAMPLE_THREADS, 0)
(const float* logits, const RankedToken* best, const float2* sums, const Row* rows, RankedToken* logprobs, u32 V, u32 K,
 u32 CHUNKS, u32 RING) {
  begin_kernel();
  const Row row = rows[blockIdx.x];
  merge_logprobs(logits, best, sums, logprobs, row.token, row.slot * RING + (row.generated - 1) % RING, V, K, CHUNKS);
}
