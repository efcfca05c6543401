// The decode step's products and attention, for 1 to 8 sequences, on tensor cores: the sequences are the 8 columns of
// an mma, so that their number costs little.
#include "mma.cuh"

constexpr int MATVEC_WARPS = 8;
// 16-byte pieces of a row that a lane fetches at a time.
constexpr int MATVEC_PIECES = 4;

struct WeightPiece {
  uint4 words[2];
  __half scale[2];
};

// Sums of 16 rows of a 4-bit weight times up to 8 columns of x, by all warps together, in `sums` [16][8].
// K goes in pieces of 32 values, which share a scale: a lane takes piece 4 i + lane % 4 of two rows, for the i of its
// warp. Which k an mma sees in which place does not matter as long as A and B agree, so a lane's 16 bytes are used as
// they come.
template <typename RowOf>
__device__ __forceinline__ void multiply_rows(const uint4* weight, const __half* scales, const __half* x, u32 K,
                                              u32 columns, RowOf row_of, float (*sums)[16][8]) {
  const u32 warp = threadIdx.x / 32, lane = threadIdx.x % 32, group = lane / 4, quarter = lane % 4;
  const u32 pieces = K / 32, steps = (pieces + 3) / 4;
  const size_t first = (size_t)row_of(group) * pieces, second = (size_t)row_of(group + 8) * pieces;
  WeightPiece piece[MATVEC_PIECES];
  auto fetch = [&](u32 step) {
#pragma unroll
    for (int i = 0; i < MATVEC_PIECES; i++) {
      const u32 place = (step + i * MATVEC_WARPS) * 4 + quarter;
      const bool is_inside = place < pieces;
      piece[i].words[0] = is_inside ? __ldcs(weight + first + place) : make_uint4(0, 0, 0, 0);
      piece[i].words[1] = is_inside ? __ldcs(weight + second + place) : make_uint4(0, 0, 0, 0);
      piece[i].scale[0] = is_inside ? scales[first + place] : __ushort_as_half(0);
      piece[i].scale[1] = is_inside ? scales[second + place] : __ushort_as_half(0);
    }
  };
  fetch(warp);
  wait_for_earlier_kernels();
  float d[4] = {};
  for (u32 step = warp; step < steps; step += MATVEC_WARPS * MATVEC_PIECES) {
    if (step != warp) fetch(step);
#pragma unroll
    for (int i = 0; i < MATVEC_PIECES; i++) {
      const u32 place = (step + i * MATVEC_WARPS) * 4 + quarter;
      const uint4* column = reinterpret_cast<const uint4*>(x + (size_t)group * K) + place * 4;
      const bool has_column = group < columns && place < pieces;
      const __half2 scale0 = __half2half2(piece[i].scale[0]), scale1 = __half2half2(piece[i].scale[1]);
      const u32* words0 = reinterpret_cast<const u32*>(&piece[i].words[0]);
      const u32* words1 = reinterpret_cast<const u32*>(&piece[i].words[1]);
#pragma unroll
      for (int word = 0; word < 4; word++) {
        const uint4 values = has_column ? column[word] : make_uint4(0, 0, 0, 0);
        __half2 a[4], b[4];
        unpack_nibbles(words0[word], a);
        unpack_nibbles(words1[word], b);
        mma(d, bits_of(__hmul2(a[0], scale0)), bits_of(__hmul2(b[0], scale1)), bits_of(__hmul2(a[1], scale0)),
            bits_of(__hmul2(b[1], scale1)), __byte_perm(values.x, values.z, 0x5410), __byte_perm(values.x, values.z, 0x7632));
        mma(d, bits_of(__hmul2(a[2], scale0)), bits_of(__hmul2(b[2], scale1)), bits_of(__hmul2(a[3], scale0)),
            bits_of(__hmul2(b[3], scale1)), __byte_perm(values.y, values.w, 0x5410), __byte_perm(values.y, values.w, 0x7632));
      }
    }
  }
  float (*mine)[8] = sums[warp];
  mine[group][quarter * 2] = d[0];
  mine[group][quarter * 2 + 1] = d[1];
  mine[group + 8][quarter * 2] = d[2];
  mine[group + 8][quarter * 2 + 1] = d[3];
  __syncthreads();
}

__device__ __forceinline__ float sum_of_warps(float (*sums)[16][8], u32 row, u32 column) {
  float total = 0;
#pragma unroll
  for (int warp = 0; warp < MATVEC_WARPS; warp++) total += sums[warp][row][column];
  return total;
}

// y[column, Y_OFFSET + n] of a part of N rows.
KERNEL(matvec_q4__store_plain, MATVEC_WARPS * 32, 0)
(const uint4* weight, const __half* weight_scale, const __half* x, float* y, u32 K, u32 N, u32 Y_STRIDE, u32 Y_OFFSET,
 u32 COLUMNS) {
  __shared__ float sums[MATVEC_WARPS][16][8];
  launch_dependents();
  const u32 first = blockIdx.x * 16;
  multiply_rows(weight, weight_scale, x, K, COLUMNS, [&](u32 row) { return min(first + row, N - 1); }, sums);
  const u32 row = threadIdx.x % 16, column = threadIdx.x / 16;
  if (column < COLUMNS && first + row < N)
    y[(size_t)column * Y_STRIDE + Y_OFFSET + first + row] = sum_of_warps(sums, row, column);
}

// y[column, f] = silu(gate) * up in f16: rows f of the weight are gates, rows F + f ups.
KERNEL(matvec_q4__store_swiglu, MATVEC_WARPS * 32, 0)
(const uint4* weight, const __half* weight_scale, const __half* x, __half* y, u32 K, u32 F, u32 COLUMNS) {
  __shared__ float sums[MATVEC_WARPS][16][8];
  launch_dependents();
  const u32 first = blockIdx.x * 8;
  multiply_rows(weight, weight_scale, x, K, COLUMNS,
                [&](u32 row) { return min(first + row % 8, F - 1) + (row < 8 ? 0 : F); }, sums);
  const u32 row = threadIdx.x % 8, column = threadIdx.x / 8;
  if (column < COLUMNS && first + row < F)
    y[(size_t)column * F + first + row] = to_half(silu(sum_of_warps(sums, row, column)) * sum_of_warps(sums, row + 8, column));
}

// The qkv product with bias, M-RoPE and the append to the KV cache; q in f16, times Q_SCALE.
KERNEL(matvec_q4__store_rope, MATVEC_WARPS * 32, 0)
(const uint4* weight, const __half* weight_scale, const __half* x, const float* bias, const float2* rope,
 const Row* rows, __half* q, __half* keys, __half* values, u32 K, u32 N, u32 COLUMNS, u32 H, u32 KV, u32 D,
 u32 ROTARY_PAIRS, u32 TIME_PAIRS, u32 ROW_PAIRS, u32 CONTEXT, float Q_SCALE) {
  __shared__ float sums[MATVEC_WARPS][16][8];
  launch_dependents();
  const u32 first = blockIdx.x * 16;
  multiply_rows(weight, weight_scale, x, K, COLUMNS, [&](u32 row) { return min(first + row, N - 1); }, sums);
  const u32 pair_in_tile = threadIdx.x % 8, column = threadIdx.x / 8;
  const u32 n = first + pair_in_tile * 2;
  if (column >= COLUMNS || n >= N) return;
  float low = sum_of_warps(sums, pair_in_tile * 2, column) + bias[n];
  float high = sum_of_warps(sums, pair_in_tile * 2 + 1, column) + bias[n + 1];
  const Row row = rows[column];
  const u32 head = n / D, dimension = n % D, pair = dimension / 2;
  if (head < H + KV && pair < ROTARY_PAIRS) {
    const u32 axis = pair < TIME_PAIRS ? 0 : pair < TIME_PAIRS + ROW_PAIRS ? 1 : 2;
    const float2 turn = rope[(size_t)row.position[axis] * ROTARY_PAIRS + pair];
    const float turned = low * turn.x - high * turn.y;
    high = high * turn.x + low * turn.y;
    low = turned;
  }
  u32* target;
  if (head < H) {
    low *= Q_SCALE;
    high *= Q_SCALE;
    target = reinterpret_cast<u32*>(q + (size_t)column * H * D + n);
  } else {
    const bool is_key = head < H + KV;
    const size_t place = (((size_t)row.slot * KV + head - (is_key ? H : H + KV)) * CONTEXT + row.cache_index) * D;
    target = reinterpret_cast<u32*>((is_key ? keys : values) + place + dimension);
  }
  *target = pack_halves(low, high);
}

// Decode attention: a block takes one split of a sequence's keys for one KV head and up to 16 query heads, which are
// the 16 rows of an mma; a warp takes 16 keys at a time. Keys and values come straight from the cache: lane `quarter`
// holds a quarter of a key's dimensions, lane `group` an eighth of a value's.
constexpr u32 ATTENTION_WARPS = 4;
constexpr u32 SPLIT_UNIT = ATTENTION_WARPS * 16;

// Keys of a split: even shares in whole units.
__device__ __forceinline__ u32 keys_per_split(u32 key_count, u32 splits) {
  return ((key_count + splits - 1) / splits + SPLIT_UNIT - 1) / SPLIT_UNIT * SPLIT_UNIT;
}

template <int BYTES>
struct Halves {
  u32 words[BYTES / 4];
};

template <int BYTES>
__device__ __forceinline__ Halves<BYTES> load_halves(const __half* source) {
  Halves<BYTES> out;
  if constexpr (BYTES >= 16) {
#pragma unroll
    for (int i = 0; i < BYTES / 16; i++)
      reinterpret_cast<uint4*>(out.words)[i] = reinterpret_cast<const uint4*>(source)[i];
  } else {
    reinterpret_cast<uint2*>(out.words)[0] = *reinterpret_cast<const uint2*>(source);
  }
  return out;
}

template <int D>
__device__ __forceinline__ void attend_split(const __half* q, const __half* keys, const __half* values, const Row* rows,
                                             float* partial_output, float2* partial_stats, u32 H, u32 KV, u32 CONTEXT,
                                             u32 SPLITS) {
  constexpr int KEY_BYTES = D / 4 * 2, VALUE_BYTES = D / 8 * 2, TILES = D / 8;
  __shared__ float shared_output[ATTENTION_WARPS][16][D];
  __shared__ float shared_best[ATTENTION_WARPS][16];
  __shared__ float shared_total[ATTENTION_WARPS][16];
  const u32 split = blockIdx.x, kv = blockIdx.y, column = blockIdx.z;
  const u32 warp = threadIdx.x / 32, lane = threadIdx.x % 32, group = lane / 4, quarter = lane % 4;
  const u32 heads = H / KV, first_head = kv * heads;
  begin_kernel();
  const Row row = rows[column];
  const u32 key_count = row.cache_index + 1, share = keys_per_split(key_count, SPLITS);
  const u32 begin = split * share, end = min(begin + share, key_count);
  if (begin >= key_count) return;
  const size_t cache = ((size_t)row.slot * KV + kv) * CONTEXT * D;

  // A lane's quarter of the dimensions of heads `group` and `group + 8`.
  Halves<KEY_BYTES> query[2];
#pragma unroll
  for (int i = 0; i < 2; i++) {
    const u32 head = group + i * 8;
    query[i] = {};
    if (head < heads) query[i] = load_halves<KEY_BYTES>(q + ((size_t)column * H + first_head + head) * D + quarter * (D / 4));
  }
  float best[2] = {-3e38f, -3e38f}, total[2] = {};
  float output[TILES][4] = {};
  for (u32 first = begin + warp * 16; first < end; first += SPLIT_UNIT) {
    float scores[2][4] = {};
#pragma unroll
    for (int tile = 0; tile < 2; tile++) {
      const u32 key = min(first + tile * 8 + group, end - 1);
      const Halves<KEY_BYTES> values_of_key = load_halves<KEY_BYTES>(keys + cache + (size_t)key * D + quarter * (D / 4));
#pragma unroll
      for (int i = 0; i < KEY_BYTES / 8; i++)
        mma(scores[tile], query[0].words[2 * i], query[1].words[2 * i], query[0].words[2 * i + 1],
            query[1].words[2 * i + 1], values_of_key.words[2 * i], values_of_key.words[2 * i + 1]);
    }
    // Lane: head `group` in [0] and [1], head `group + 8` in [2] and [3]; keys quarter * 2 and + 1 of each tile.
    Halves<VALUE_BYTES> cells[4];
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const u32 key = min(first + (i / 2) * 8 + quarter * 2 + i % 2, end - 1);
      cells[i] = load_halves<VALUE_BYTES>(values + cache + (size_t)key * D + group * (D / 8));
    }
    u32 shares[2][2];
#pragma unroll
    for (int half = 0; half < 2; half++) {
      float largest = best[half];
#pragma unroll
      for (int tile = 0; tile < 2; tile++)
#pragma unroll
        for (int i = 0; i < 2; i++) {
          float& score = scores[tile][half * 2 + i];
          if (first + tile * 8 + quarter * 2 + i >= end) score = -3e38f;
          largest = fmaxf(largest, score);
        }
      largest = fmaxf(largest, __shfl_xor_sync(~0u, largest, 1));
      largest = fmaxf(largest, __shfl_xor_sync(~0u, largest, 2));
      const float decay = exp2f(best[half] - largest);
      best[half] = largest;
      float sum = 0;
#pragma unroll
      for (int tile = 0; tile < 2; tile++) {
        const float low = exp2f(scores[tile][half * 2] - largest), high = exp2f(scores[tile][half * 2 + 1] - largest);
        sum += low + high;
        shares[tile][half] = pack_halves(low, high);
      }
      total[half] = total[half] * decay + sum;
#pragma unroll
      for (int tile = 0; tile < TILES; tile++) {
        output[tile][half * 2] *= decay;
        output[tile][half * 2 + 1] *= decay;
      }
    }
    // Tile j holds dimension group * (D / 8) + j of each lane's part.
#pragma unroll
    for (int tile = 0; tile < TILES; tile++) {
      const u32 selector = tile % 2 == 0 ? 0x5410 : 0x7632;
      mma(output[tile], shares[0][0], shares[0][1], shares[1][0], shares[1][1],
          __byte_perm(cells[0].words[tile / 2], cells[1].words[tile / 2], selector),
          __byte_perm(cells[2].words[tile / 2], cells[3].words[tile / 2], selector));
    }
  }
#pragma unroll
  for (int half = 0; half < 2; half++) {
    total[half] += __shfl_xor_sync(~0u, total[half], 1);
    total[half] += __shfl_xor_sync(~0u, total[half], 2);
    if (quarter == 0) {
      shared_best[warp][group + half * 8] = best[half];
      shared_total[warp][group + half * 8] = total[half];
    }
#pragma unroll
    for (int tile = 0; tile < TILES; tile++)
#pragma unroll
      for (int i = 0; i < 2; i++)
        // The output's columns are the n of B: lane `quarter` has n = quarter * 2 + i, the part of lane group n.
        shared_output[warp][group + half * 8][(quarter * 2 + i) * (D / 8) + tile] = output[tile][half * 2 + i];
  }
  __syncthreads();
  for (u32 index = threadIdx.x; index < heads * D; index += ATTENTION_WARPS * 32) {
    const u32 head = index / D, d = index % D;
    float largest = shared_best[0][head];
#pragma unroll
    for (int i = 1; i < ATTENTION_WARPS; i++) largest = fmaxf(largest, shared_best[i][head]);
    float sum = 0, whole = 0;
#pragma unroll
    for (int i = 0; i < ATTENTION_WARPS; i++) {
      const float factor = exp2f(shared_best[i][head] - largest);
      sum += shared_output[i][head][d] * factor;
      whole += shared_total[i][head] * factor;
    }
    const size_t place = ((size_t)column * H + first_head + head) * SPLITS + split;
    partial_output[place * D + d] = sum;
    if (d == 0) partial_stats[place] = make_float2(largest, whole);
  }
}

// Joins the splits: one block a head and sequence, one thread a dimension.
template <int D>
__device__ __forceinline__ void combine_splits(const float* partial_output, const float2* partial_stats,
                                               const Row* rows, __half* output, u32 H, u32 SPLITS) {
  begin_kernel();
  const u32 head = blockIdx.y * H + blockIdx.x;
  const u32 key_count = rows[blockIdx.y].cache_index + 1, share = keys_per_split(key_count, SPLITS);
  const u32 used = (key_count + share - 1) / share;
  float best = -3e38f;
  for (u32 split = 0; split < used; split++) best = fmaxf(best, partial_stats[(size_t)head * SPLITS + split].x);
  float sum = 0, total = 0;
  for (u32 split = 0; split < used; split++) {
    const float2 stats = partial_stats[(size_t)head * SPLITS + split];
    const float factor = exp2f(stats.x - best);
    total += stats.y * factor;
    sum += partial_output[((size_t)head * SPLITS + split) * D + threadIdx.x] * factor;
  }
  output[(size_t)head * D + threadIdx.x] = to_half(sum / total);
}

#define ATTENTION_DECODE(SIZE)                                                                                      \
  KERNEL(attention_split__D_##SIZE, ATTENTION_WARPS * 32, 0)                                                        \
  (const __half* q, const __half* keys, const __half* values, const Row* rows, float* partial_output,              \
   float2* partial_stats, u32 H, u32 KV, u32 CONTEXT, u32 SPLITS) {                                                 \
    attend_split<SIZE>(q, keys, values, rows, partial_output, partial_stats, H, KV, CONTEXT, SPLITS);               \
  }                                                                                                                 \
  KERNEL(attention_join__D_##SIZE, SIZE, 0)                                                                         \
  (const float* partial_output, const float2* partial_stats, const Row* rows, __half* output, u32 H, u32 SPLITS) { \
    combine_splits<SIZE>(partial_output, partial_stats, rows, output, H, SPLITS);                                   \
  }
ATTENTION_DECODE(32)
ATTENTION_DECODE(128)
