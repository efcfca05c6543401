// The decode step's products and attention, for 1 to 8 sequences, on tensor cores: the sequences are the 8 columns of
// an mma, so that their number costs little.
#include "decode.cuh"

constexpr int MATVEC_WARPS = 8;
// Units that each warp has on their way from memory.
constexpr int MATVEC_DEPTH = 3;
// Bytes of a unit in shared memory: two octets of rows, each 1024 of nibbles, then 128 of scales for each.
constexpr u32 UNIT_BYTES = 2304;
constexpr u32 MATVEC_SHARED = 55296;
constexpr u32 PACK_SHARED = 65536;

// Packs rows in place, once after a load: one block an octet.
KERNEL(pack_q4, 256, PACK_SHARED)(uint4* weight, __half* weight_scale, u32 K) {
  extern __shared__ uint4 pack_memory[];
  wait_for_earlier_kernels();
  const PackedRows rows(K);
  const u32 count = 8 * rows.pieces;
  uint4* const mine = weight + (size_t)blockIdx.x * count;
  __half* const my_scales = weight_scale + (size_t)blockIdx.x * count;
  __half* const shared_scales = reinterpret_cast<__half*>(pack_memory + count);
  for (u32 i = threadIdx.x; i < count; i += 256) pack_memory[i] = mine[i], shared_scales[i] = my_scales[i];
  __syncthreads();
  for (u32 i = threadIdx.x; i < count; i += 256) {
    const u32 row = i / rows.pieces, piece = i % rows.pieces;
    const u32 words[4] = {pack_memory[i].x, pack_memory[i].y, pack_memory[i].z, pack_memory[i].w};
#pragma unroll
    for (u32 word = 0; word < 4; word++) reinterpret_cast<u32*>(mine)[rows.word_place(row, piece, word)] = words[word];
    my_scales[rows.scale_place(row, piece)] = shared_scales[i];
  }
}

// A packed weight as f16 [N, K]; a thread a piece.
KERNEL(dequantize_q4__packed, 256, 0)(const uint4* weight, const __half* weight_scale, uint4* y, u32 K, u32 PIECES) {
  begin_kernel();
  const PackedRows rows(K);
  const u32 i = blockIdx.x * 256 + threadIdx.x;
  if (i >= PIECES) return;
  const u32 n = i / rows.pieces, piece = i % rows.pieces;
  const size_t octet = (size_t)(n / 8) * 8 * rows.pieces;
  const u32* const words = reinterpret_cast<const u32*>(weight + octet);
  const __half2 scale = __half2half2(weight_scale[octet + rows.scale_place(n % 8, piece)]);
#pragma unroll
  for (u32 word = 0; word < 4; word++)
    y[(size_t)i * 4 + word] = unpack_word(words[rows.word_place(n % 8, piece, word)], scale);
}

// Sums of 16 rows (two octets) of a packed weight times up to 8 columns of x, tile after tile. The warps share K, unit
// by unit, and each keeps a queue of units in shared memory that is filled without registers and across tiles: a lane
// reads only what it copied itself, so nobody waits for anybody but at a tile's end. The queue is filled before the
// kernels before this one have ended; only x depends on them.
//
// Which k an mma sees in which place does not matter as long as A and B agree, so a lane's 16 bytes are used as they
// come: eight nibbles of a word are four pairs (k, k + 4).
template <typename OctetOf, typename Store>
__device__ __forceinline__ void multiply_packed(const uint4* weight, const __half* scales, const __half* x, u32 K,
                                                u32 columns, u32 tiles, OctetOf octet_of, Store store) {
  extern __shared__ uint4 shared_memory[];
  __shared__ float sums[2][MATVEC_WARPS][16][8];
  const u32 warp = threadIdx.x / 32, lane = threadIdx.x % 32, group = lane / 4, quarter = lane % 4;
  const PackedRows rows(K);
  const u32 base = shared_address(shared_memory) + warp * MATVEC_DEPTH * UNIT_BYTES;
  const size_t octet_pieces = (size_t)8 * rows.pieces;

  u32 next_tile = blockIdx.x, next_unit = warp, next_stage = 0;
  auto push = [&]() {
    if (next_tile < tiles && next_unit < rows.units) {
      const u32 slot = base + next_stage * UNIT_BYTES;
#pragma unroll
      for (u32 half = 0; half < 2; half++) {
        const size_t octet = octet_of(next_tile, half) * octet_pieces, first = octet + next_unit * 64;
        if (next_unit < rows.full) {
          copy_async(slot + half * 1024 + lane * 16, weight + first + lane, true);
          copy_async(slot + half * 1024 + 512 + lane * 16, weight + first + 32 + lane, true);
          copy_word_async(slot + 2048 + half * 128 + lane * 4, scales + first + lane * 2);
        } else {
#pragma unroll
          for (u32 b = 0; b < 2; b++) {
            const size_t row = first + group * rows.rest;
            const bool has_scale = b * 4 + quarter < rows.rest;
            store_shared_half(slot + 2048 + half * 128 + lane * 4 + b * 2,
                              has_scale ? scales[row + b * 4 + quarter] : __ushort_as_half(0));
#pragma unroll
            for (u32 i = 0; i < 4; i++) {
              const u32 inside = b * 4 + i, target = slot + half * 1024 + b * 512 + lane * 16 + i * 4;
              if (inside < rows.rest)
                copy_word_async(target, reinterpret_cast<const u32*>(weight + octet) +
                                            rows.word_place(group, next_unit * 8 + inside, quarter));
              else
                store_shared_word(target, 0);
            }
          }
        }
      }
      next_unit += MATVEC_WARPS;
      if (next_unit >= rows.units) next_unit = warp, next_tile += gridDim.x;
    }
    commit_copies();
    next_stage = next_stage + 1 == MATVEC_DEPTH ? 0 : next_stage + 1;
  };
#pragma unroll
  for (int i = 0; i < MATVEC_DEPTH; i++) push();
  wait_for_earlier_kernels();

  u32 stage = 0, buffer = 0;
  const __half* const column = x + (size_t)group * K;
  for (u32 tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    // Two sums, so that an mma need not wait for the one before it.
    float d[2][4] = {};
    for (u32 unit = warp; unit < rows.units; unit += MATVEC_WARPS) {
      uint4 values[2][4];
#pragma unroll
      for (u32 b = 0; b < 2; b++) {
#pragma unroll
        for (u32 i = 0; i < 4; i++) {
          const u32 piece = unit * 8 + b * 4 + i;
          const uint4* const source = reinterpret_cast<const uint4*>(column) + piece * 4 + quarter;
          values[b][i] = group < columns && piece < rows.pieces ? *source : make_uint4(0, 0, 0, 0);
        }
      }
      wait_for_copies<MATVEC_DEPTH - 1>();
      const u32 slot = base + stage * UNIT_BYTES;
      uint4 nibbles[2][2];
      u32 scale[2];
#pragma unroll
      for (u32 half = 0; half < 2; half++) {
        nibbles[half][0] = load_shared_vector(slot + half * 1024 + lane * 16);
        nibbles[half][1] = load_shared_vector(slot + half * 1024 + 512 + lane * 16);
        scale[half] = load_shared_word(slot + 2048 + half * 128 + lane * 4);
      }
      push();
      stage = stage + 1 == MATVEC_DEPTH ? 0 : stage + 1;
#pragma unroll
      for (int word = 0; word < 4; word++) {
        const u32 scales0 = __shfl_sync(~0u, scale[0], group * 4 + word);
        const u32 scales1 = __shfl_sync(~0u, scale[1], group * 4 + word);
#pragma unroll
        for (int b = 0; b < 2; b++) {
          const __half2 scale0 = half_twice(scales0, b), scale1 = half_twice(scales1, b);
          const uint4 v = values[b][word];
          __half2 a0[4], a1[4];
          unpack_nibbles(word_of(nibbles[0][b], word), a0);
          unpack_nibbles(word_of(nibbles[1][b], word), a1);
          mma(d[0], bits_of(__hmul2(a0[0], scale0)), bits_of(__hmul2(a1[0], scale1)), bits_of(__hmul2(a0[1], scale0)),
              bits_of(__hmul2(a1[1], scale1)), __byte_perm(v.x, v.z, 0x5410), __byte_perm(v.x, v.z, 0x7632));
          mma(d[1], bits_of(__hmul2(a0[2], scale0)), bits_of(__hmul2(a1[2], scale1)), bits_of(__hmul2(a0[3], scale0)),
              bits_of(__hmul2(a1[3], scale1)), __byte_perm(v.y, v.w, 0x5410), __byte_perm(v.y, v.w, 0x7632));
        }
      }
    }
    float (*mine)[8] = sums[buffer][warp];
    *reinterpret_cast<float2*>(&mine[group][quarter * 2]) = make_float2(d[0][0] + d[1][0], d[0][1] + d[1][1]);
    *reinterpret_cast<float2*>(&mine[group + 8][quarter * 2]) = make_float2(d[0][2] + d[1][2], d[0][3] + d[1][3]);
    // One barrier a tile: nobody comes back to this buffer before everybody has passed the next tile's.
    __syncthreads();
    store(tile, sums[buffer]);
    buffer ^= 1;
  }
}

typedef float (*WarpSums)[16][8];

__device__ __forceinline__ float sum_of_warps(WarpSums sums, u32 row, u32 column) {
  float total = 0;
#pragma unroll
  for (int warp = 0; warp < MATVEC_WARPS; warp++) total += sums[warp][row][column];
  return total;
}

// y[column, Y_OFFSET + n] of a part of N rows.
KERNEL_DENSE(matvec_q4__store_plain, 256, 3, MATVEC_SHARED)
(const uint4* weight, const __half* weight_scale, const __half* x, float* y, u32 K, u32 N, u32 Y_STRIDE, u32 Y_OFFSET,
 u32 COLUMNS) {
  launch_dependents();
  multiply_packed(
      weight, weight_scale, x, K, COLUMNS, (N + 15) / 16,
      [&](u32 tile, u32 half) -> size_t { return min(tile * 2 + half, N / 8 - 1); },
      [&](u32 tile, WarpSums sums) {
        const u32 row = threadIdx.x % 16, column = threadIdx.x / 16;
        if (column < COLUMNS && tile * 16 + row < N)
          y[(size_t)column * Y_STRIDE + Y_OFFSET + tile * 16 + row] = sum_of_warps(sums, row, column);
      });
}

// y[column, f] = silu(gate) * up in f16: rows f of the weight are gates, rows F + f ups.
KERNEL_DENSE(matvec_q4__store_swiglu, 256, 3, MATVEC_SHARED)
(const uint4* weight, const __half* weight_scale, const __half* x, __half* y, u32 K, u32 F, u32 COLUMNS) {
  launch_dependents();
  multiply_packed(
      weight, weight_scale, x, K, COLUMNS, F / 8,
      [&](u32 tile, u32 half) -> size_t { return tile + (half ? F / 8 : 0); },
      [&](u32 tile, WarpSums sums) {
        const u32 row = threadIdx.x % 8, column = threadIdx.x / 8;
        if (column < COLUMNS)
          y[(size_t)column * F + tile * 8 + row] =
              to_half(silu(sum_of_warps(sums, row, column)) * sum_of_warps(sums, row + 8, column));
      });
}

KERNEL_DENSE(matvec_q4__store_rope, 256, 3, MATVEC_SHARED)
(const uint4* weight, const __half* weight_scale, const __half* x, const float* bias, const float2* rope,
 const Row* rows, __half* q, __half* keys, __half* values, u32 K, u32 N, u32 COLUMNS, u32 H, u32 KV, u32 D,
 u32 ROTARY_PAIRS, u32 TIME_PAIRS, u32 ROW_PAIRS, u32 CONTEXT, float Q_SCALE) {
  launch_dependents();
  const RopeTarget target = {rope, rows, q, H, KV, D, ROTARY_PAIRS, TIME_PAIRS, ROW_PAIRS, CONTEXT, Q_SCALE};
  multiply_packed(
      weight, weight_scale, x, K, COLUMNS, (N + 15) / 16,
      [&](u32 tile, u32 half) -> size_t { return min(tile * 2 + half, N / 8 - 1); },
      [&](u32 tile, WarpSums sums) {
        const u32 pair = threadIdx.x % 8, column = threadIdx.x / 8, n = tile * 16 + pair * 2;
        if (column >= COLUMNS || n >= N) return;
        target.store(column, n, sum_of_warps(sums, pair * 2, column), sum_of_warps(sums, pair * 2 + 1, column), bias,
                     keys, values);
      });
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

// Brings the first keys and values of a block closer before earlier kernels have ended. The row may still be that of the
// step before, which is off by one key at most.
template <int D>
__device__ __forceinline__ void prefetch_keys(const __half* keys, const __half* values, const Row* row, u32 kv, u32 KV,
                                              u32 CONTEXT, u32 SPLITS) {
  const u32 key_count = min(row->cache_index + 1, CONTEXT), share = keys_per_split(key_count, SPLITS);
  const size_t cache = ((size_t)row->slot * KV + kv) * CONTEXT * D;
  for (u32 i = threadIdx.x * 64; i < SPLIT_UNIT * D; i += ATTENTION_WARPS * 32 * 64) {
    const u32 place = blockIdx.x * share * D + i;
    if (place >= key_count * D) break;
    prefetch(keys + cache + place);
    prefetch(values + cache + place);
  }
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
  launch_dependents();
  prefetch_keys<D>(keys, values, rows + column, kv, KV, CONTEXT, SPLITS);
  wait_for_earlier_kernels();
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
      largest = quad_max(largest);
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
    total[half] = quad_sum(total[half]);
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

// Most splits: what a block's first warps can look at side by side.
constexpr u32 MOST_SPLITS = 64;

// Joins the splits: one block a head and sequence, one thread a dimension.
template <int D>
__device__ __forceinline__ void combine_splits(const float* partial_output, const float2* partial_stats,
                                               const Row* rows, __half* output, u32 H, u32 SPLITS) {
  __shared__ float2 stats[MOST_SPLITS];
  begin_kernel();
  const u32 head = blockIdx.y * H + blockIdx.x;
  const u32 key_count = rows[blockIdx.y].cache_index + 1, share = keys_per_split(key_count, SPLITS);
  const u32 used = (key_count + share - 1) / share;
  for (u32 split = threadIdx.x; split < used; split += D) stats[split] = partial_stats[(size_t)head * SPLITS + split];
  __syncthreads();
  float best = -3e38f;
  for (u32 split = 0; split < used; split++) best = fmaxf(best, stats[split].x);
  const float* const mine = partial_output + (size_t)head * SPLITS * D + threadIdx.x;
  float sum = 0, total = 0;
#pragma unroll 8
  for (u32 split = 0; split < used; split++) {
    const float factor = exp2f(stats[split].x - best);
    total += stats[split].y * factor;
    sum += mine[(size_t)split * D] * factor;
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
