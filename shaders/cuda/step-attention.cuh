// Attention of a decode step: splits of the keys, and their join.
#pragma once
#include "step-product.cuh"

#if __CUDA_ARCH__ >= 900

// A sequence's keys with the new one, its slot in the cache, the keys of a split and how many splits there are.
struct StepKeys {
  u32 count, slot, share, splits;
  __device__ __forceinline__ StepKeys() {}
  __device__ __forceinline__ StepKeys(const Row& row, u32 most) {
    count = row.cache_index + 1;
    slot = row.slot;
    share = ((count + most - 1) / most + ROUND_KEYS - 1) / ROUND_KEYS * ROUND_KEYS;
    splits = (count + share - 1) / share;
  }
};

// As many splits as give every block at most one.
__device__ __forceinline__ u32 most_splits(const StepShape& shape) {
  return max(min(STEP_SPLITS, gridDim.x / (shape.KV * shape.columns)), 1u);
}

// The largest of a warp's numbers: as integers they have the same order, where negative ones are turned.
__device__ __forceinline__ float warp_largest(float value) {
  const int bits = __float_as_int(value);
  const int most = __reduce_max_sync(~0u, bits ^ (bits >> 31 & 0x7fffffff));
  return __int_as_float(most ^ (most >> 31 & 0x7fffffff));
}

// Joins the splits of every head: a warp takes eight dimensions of a head, a lane every 32nd split.
template <int D>
__device__ __forceinline__ void join_splits(const StepShape& shape, const StepKeys* keys, const StepMail& mail, u32 seal) {
  constexpr u32 CHUNKS = D / 8;
  const u32 warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const u32 octets = shape.columns * shape.H * CHUNKS;
#pragma unroll 1
  for (u32 item = blockIdx.x + gridDim.x * warp; item < octets; item += gridDim.x * STEP_WARPS) {
    const u32 head = item / CHUNKS, chunk = item % CHUNKS;
    const u32 splits = keys[head / shape.H].splits;
    float best = -3e38f, total = 0, out[8] = {};
#pragma unroll 1
    for (u32 split = lane; split < splits; split += 32) {
      const size_t place = (size_t)head * STEP_SPLITS + split;
      uint4 octet;
      uint2 stats;
      do {
        octet = look_at_vector(mail.parts + place * CHUNKS + chunk);
        stats = look_at_pair(mail.stats + place);
      } while (octet_is_missing(octet, seal) | pair_is_missing(stats, seal));
      const float2 mine = opened_pair(stats);
      const float largest = fmaxf(best, mine.x), decay = exp2_near(best - largest);
      const float share = mine.y * exp2_near(mine.x - largest);
      float v[8];
      floats_of_halves(v, opened_octet(octet));
      best = largest;
      total = total * decay + share;
#pragma unroll
      for (u32 j = 0; j < 8; j++) out[j] = out[j] * decay + v[j] * share;
    }
    const float decay = exp2_near(best - warp_largest(best));
#pragma unroll
    for (u32 j = 0; j < 8; j++) out[j] *= decay;
    const float value = warp_sums<8>(out) * reciprocal_near(warp_sum(total * decay));
    const u32 word = pack_halves(value, __shfl_down_sync(~0u, value, 4));
    const u32 second = __shfl_down_sync(~0u, word, 8), third = __shfl_down_sync(~0u, word, 16);
    const u32 fourth = __shfl_down_sync(~0u, word, 24);
    if (lane == 0) send_octet(mail.attended + item, make_uint4(word, second, third, fourth), seal);
  }
}

// A split without keys. Its places are sealed all the same: a later layer may have it.
template <int D>
__device__ __forceinline__ void send_no_part(const StepMail& mail, u32 first_head, u32 heads, u32 split, u32 seal) {
  constexpr u32 CHUNKS = D / 8;
  for (u32 i = threadIdx.x; i < heads * CHUNKS; i += STEP_THREADS) {
    const size_t place = (size_t)(first_head + i / CHUNKS) * STEP_SPLITS + split;
    send_octet(mail.parts + place * CHUNKS + i % CHUNKS, make_uint4(0, 0, 0, 0), seal);
    if (i % CHUNKS == 0) send_pair(mail.stats + place, make_float2(0, 0), seal);
  }
}

// One split of a sequence's keys for one KV head and up to 16 query heads, which are the rows of an mma. A warp scores
// eight keys of a round; then the first warps take eight dimensions each of the round's values, in shared memory.
template <int D>
__device__ __forceinline__ void attend_part(const StepShape& shape, const StepKeys* keys, const StepMail& mail,
                                            const StepLayer& layer, u32 column, u32 kv, u32 split, u32 values,
                                            float4 (*shared_best)[STEP_WARPS / 4], float4 (*shared_total)[STEP_WARPS / 4],
                                            u32 seal) {
  constexpr u32 CHUNKS = D / 8;
  const u32 warp = threadIdx.x / 32, lane = threadIdx.x % 32, group = lane / 4, quarter = lane % 4;
  const u32 heads = shape.H / shape.KV, first_head = column * shape.H + kv * heads;
  const u32 key_count = keys[column].count, new_index = key_count - 1;
  const u32 begin = split * keys[column].share, end = min(begin + keys[column].share, key_count);
  if (begin >= key_count) {
    send_no_part<D>(mail, first_head, heads, split, seal);
    return;
  }
  const uint4* const sent = mail.qkv + (size_t)column * (shape.H + 2 * shape.KV) * CHUNKS;
  const uint4* const new_key = sent + (shape.H + kv) * CHUNKS;
  const uint4* const new_value = new_key + shape.KV * CHUNKS;
  const size_t cache = ((size_t)keys[column].slot * shape.KV + kv) * shape.context * D;
  const u32 shares = values + ROUND_KEYS * D * 2, queries = shares + 16 * SHARE_PITCH, fresh_key = queries + 16 * D * 2;

  float best[2] = {-3e38f, -3e38f}, total[2] = {}, whole[2] = {}, output[2][4] = {};
  uint4 key[D / 32], value;
  const auto load_keys = [&](u32 first) {
    const u32 my_key = min(first + warp * 8 + group, end - 1);
    const uint4* const source = reinterpret_cast<const uint4*>(layer.keys + cache + (size_t)my_key * D) + quarter;
    if (my_key != new_index)
#pragma unroll
      for (u32 i = 0; i < D / 32; i++) key[i] = __ldcg(source + i * 4);
  };
  // A key's chunks are in turned order, to use all banks.
  const auto value_place = [&](u32 index, u32 chunk) { return values + index * D * 2 + (chunk ^ index % 8 % CHUNKS) * 16; };
  const auto copy_values = [&](u32 first) {
    for (u32 i = threadIdx.x; i < ROUND_KEYS * CHUNKS; i += STEP_THREADS) {
      const u32 index = i / CHUNKS, chunk = i % CHUNKS;
      if (first + index == new_index) continue;
      copy_async(value_place(index, chunk), layer.values + cache + (size_t)min(first + index, end - 1) * D + chunk * 8,
                 first + index < end);
    }
    commit_copies();
  };
  load_keys(begin);
  copy_values(begin);
  // A thread waits for a part of the queries, of the new key or of the new value, which whoever brings it into shared memory
  // keeps until its round. A head's queries lie as the mma take them, by four chunks and in these by word: [word][chunk].
  // The heads' vectors are in turned order, to use all banks.
  constexpr u32 ALIKE = CHUNKS < 8 ? 8 / CHUNKS : 1;
  const auto query_place = [&](u32 head, u32 vector) {
    return queries + head * D * 2 + (vector ^ head / ALIKE % (8 / ALIKE)) * 16;
  };
  const bool has_new = new_index >= begin && new_index < end;
  const bool has_value = has_new && (new_index - begin) * CHUNKS % STEP_THREADS / CHUNKS == threadIdx.x / CHUNKS;
  if (threadIdx.x < 16 * CHUNKS) {
    const u32 head = threadIdx.x / CHUNKS, chunk = threadIdx.x % CHUNKS;
    const uint4 query = receive_octet(sent + (kv * heads + min(head, heads - 1)) * CHUNKS + chunk, seal);
#pragma unroll
    for (u32 word = 0; word < 4; word++)
      store_shared_word(query_place(head, chunk / 4 * 4 + word) + chunk % 4 * 4, word_of(query, word));
  } else if (has_new && threadIdx.x < 17 * CHUNKS) {
    store_shared_vector(fresh_key + threadIdx.x % CHUNKS * 16, receive_octet(new_key + threadIdx.x % CHUNKS, seal));
  }
  if (has_value) value = receive_octet(new_value + threadIdx.x % CHUNKS, seal);
  step_sync();
  for (u32 first = begin; first < end; first += ROUND_KEYS) {
    // The values are on their way while the keys are multiplied.
    if (first != begin) copy_values(first);
    if (has_value && new_index - first < ROUND_KEYS)
      store_shared_vector(value_place(new_index - first, threadIdx.x % CHUNKS), value);
    const bool is_new = min(first + warp * 8 + group, end - 1) == new_index;
    // Two sums, as one waits for the mma before.
    float scores[4] = {}, more[4] = {};
#pragma unroll
    for (u32 i = 0; i < D / 32; i++) {
      u32 low[4], high[4];
      load_matrices(low, query_place(lane % 16, i * 4 + lane / 16));
      load_matrices(high, query_place(lane % 16, i * 4 + lane / 16 + 2));
      if (is_new) key[i] = load_shared_vector(fresh_key + (i * 4 + quarter) * 16);
      mma(scores, low[0], low[1], low[2], low[3], key[i].x, key[i].y);
      mma(more, high[0], high[1], high[2], high[3], key[i].z, key[i].w);
    }
#pragma unroll
    for (u32 i = 0; i < 4; i++) scores[i] += more[i];
    if (first + ROUND_KEYS < end) load_keys(first + ROUND_KEYS);
#pragma unroll
    for (u32 half = 0; half < 2; half++) {
#pragma unroll
      for (u32 i = 0; i < 2; i++)
        if (first + warp * 8 + quarter * 2 + i >= end) scores[half * 2 + i] = -3e38f;
      float largest = fmaxf(scores[half * 2], scores[half * 2 + 1]);
      largest = quad_max(largest);
      if (quarter == 0) reinterpret_cast<float*>(shared_best[group + half * 8])[warp] = largest;
    }
    wait_for_copies<0>();
    step_sync();
#pragma unroll
    for (u32 half = 0; half < 2; half++) {
      const float4 four = shared_best[group + half * 8][quarter];
      const float largest = fmaxf(quad_max(fmaxf(fmaxf(four.x, four.y), fmaxf(four.z, four.w))), best[half]);
      const float decay = exp2_near(best[half] - largest);
      best[half] = largest;
      const float low = exp2_near(scores[half * 2] - largest), high = exp2_near(scores[half * 2 + 1] - largest);
      store_shared_word(shares + (group + half * 8) * SHARE_PITCH + (warp * 8 + quarter * 2) * 2, pack_halves(low, high));
      total[half] = total[half] * decay + low + high;
      const float sum = quad_sum(total[half]);
      if (quarter == 0) reinterpret_cast<float*>(shared_total[group + half * 8])[warp] = sum;
#pragma unroll
      for (u32 i = 0; i < 2; i++) {
        output[i][half * 2] *= decay;
        output[i][half * 2 + 1] *= decay;
      }
    }
    step_sync();
    if (warp < CHUNKS) {
      // For the last round; here, because its reads need not wait for those of the values.
#pragma unroll
      for (u32 half = 0; half < 2; half++) {
        const float4 four = shared_total[group + half * 8][quarter];
        whole[half] = quad_sum(four.x + four.y + (four.z + four.w));
      }
#pragma unroll
      for (u32 i = 0; i < ROUND_KEYS / 32; i++) {
        const u32 index = i * 32 + lane;
        u32 v[4];
        load_matrices_transposed(v, values + index * D * 2 + (warp ^ (index % 8 % CHUNKS)) * 16);
#pragma unroll
        for (u32 j = 0; j < 2; j++) {
          u32 share[4];
          load_matrices(share, shares + lane % 16 * SHARE_PITCH + (i * 32 + j * 16 + lane / 16 * 8) * 2);
          mma(output[j], share[0], share[1], share[2], share[3], v[j * 2], v[j * 2 + 1]);
        }
      }
    }
    if (first + ROUND_KEYS < end) step_sync();
  }
  if (warp < CHUNKS) {
#pragma unroll
    for (u32 half = 0; half < 2; half++) {
      const u32 head = group + half * 8;
      const size_t place = (size_t)(first_head + head) * STEP_SPLITS + split;
      const float inverse = reciprocal_near(whole[half]);
      send_words(mail.parts + place * CHUNKS + warp,
                 pack_halves((output[0][half * 2] + output[1][half * 2]) * inverse,
                             (output[0][half * 2 + 1] + output[1][half * 2 + 1]) * inverse),
                 head < heads, seal);
      if (head < heads && warp == 0 && quarter == 0) send_pair(mail.stats + place, make_float2(best[half], whole[half]), seal);
    }
  }
}

// Brings the block's keys and values of a layer closer while the layer's first product runs.
template <int D>
__device__ __forceinline__ void prefetch_cache(const StepShape& shape, const StepKeys* keys, const StepLayer& layer, u32 most) {
  const u32 kv = blockIdx.x / most % shape.KV, column = blockIdx.x / most / shape.KV;
  if (column >= shape.columns) return;
  const u32 key_count = keys[column].count, share = keys[column].share;
  const u32 begin = blockIdx.x % most * share, end = min(begin + min(share, ROUND_KEYS), key_count);
  const size_t cache = ((size_t)keys[column].slot * shape.KV + kv) * shape.context * D;
  for (u32 i = begin * D + threadIdx.x * 64; i < end * D; i += STEP_THREADS * 64) {
    prefetch(layer.keys + cache + i);
    prefetch(layer.values + cache + i);
  }
}

#endif
