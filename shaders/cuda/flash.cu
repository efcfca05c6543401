// Flash attention of a prefill chunk or an image in f16 with f32 sums. A block takes 64 queries of a head, a warp 16;
// keys and values come in tiles of 64 through shared memory, two tiles deep.
#include "mma.cuh"

constexpr int FLASH_KEYS = 64, FLASH_QUERIES = 64;

// 16-byte piece of a row of D halves, swizzled so that eight rows of a matrix lie in different banks.
template <int D>
__device__ __forceinline__ u32 row_offset(u32 row, u32 piece) {
  constexpr u32 pieces = D / 8;
  if constexpr (pieces >= 8) {
    return (row * pieces + (piece ^ (row & 7))) * 16;
  } else {
    return (row * pieces + (piece ^ ((row / (8 / pieces)) & (pieces - 1)))) * 16;
  }
}

// q is scaled by 1 / sqrt(D) and log2(e). `key_limit(query)` is the number of keys that a query sees.
template <int D, bool IS_CAUSAL>
__device__ __forceinline__ void flash(const __half* q, const __half* keys, const __half* values, __half* output,
                                      u32 row_count, u32 q_stride, u32 cache_start) {
  constexpr u32 TILE_BYTES = FLASH_KEYS * D * 2;
  extern __shared__ uint4 shared_memory[];
  const u32 base = shared_address(shared_memory);
  const u32 warp = threadIdx.x / 32, lane = threadIdx.x % 32, group = lane / 4, quarter = lane % 4;
  const u32 first_query = blockIdx.x * FLASH_QUERIES, warp_query = first_query + warp * 16;
  const u32 last_query = min(first_query + FLASH_QUERIES, row_count) - 1;
  const u32 key_count = IS_CAUSAL ? cache_start + last_query + 1 : row_count;
  const u32 tiles = (key_count + FLASH_KEYS - 1) / FLASH_KEYS;

  u32 query[D / 16][4];
#pragma unroll
  for (int i = 0; i < D / 16; i++)
#pragma unroll
    for (int j = 0; j < 4; j++) {
      const u32 row = min(warp_query + group + (j % 2) * 8, row_count - 1);
      query[i][j] = *reinterpret_cast<const u32*>(q + (size_t)row * q_stride + i * 16 + (j / 2) * 8 + quarter * 2);
    }

  auto fetch = [&](u32 tile) {
    const u32 target = base + (tile % 2) * TILE_BYTES * 2;
    for (u32 index = threadIdx.x; index < FLASH_KEYS * D / 8; index += 128) {
      const u32 row = index / (D / 8), piece = index % (D / 8), key = tile * FLASH_KEYS + row;
      const bool is_valid = key < key_count;
      const size_t source = is_valid ? (size_t)key * D + piece * 8 : 0;
      copy_async(target + row_offset<D>(row, piece), keys + source, is_valid);
      copy_async(target + TILE_BYTES + row_offset<D>(row, piece), values + source, is_valid);
    }
  };
  fetch(0);
  commit_copies();
  float best[2] = {-3e38f, -3e38f}, total[2] = {};
  float out[D / 8][4] = {};
  for (u32 tile = 0; tile < tiles; tile++) {
    if (tile + 1 < tiles) fetch(tile + 1);
    commit_copies();
    wait_for_copies<1>();
    __syncthreads();
    const u32 tile_keys = base + (tile % 2) * TILE_BYTES * 2, tile_values = tile_keys + TILE_BYTES;
    float scores[8][4] = {};
#pragma unroll
    for (int i = 0; i < D / 16; i++)
#pragma unroll
      for (int j = 0; j < 4; j++) {
        u32 b[4];
        load_matrices(b, tile_keys + row_offset<D>(j * 16 + (lane / 16) * 8 + lane % 8, i * 2 + (lane / 8) % 2));
        mma(scores[j * 2], query[i][0], query[i][1], query[i][2], query[i][3], b[0], b[1]);
        mma(scores[j * 2 + 1], query[i][0], query[i][1], query[i][2], query[i][3], b[2], b[3]);
      }
    const u32 first_key = tile * FLASH_KEYS;
    const u32 least_limit = IS_CAUSAL ? cache_start + warp_query + 1 : key_count;
    if (first_key + FLASH_KEYS > least_limit) {
#pragma unroll
      for (int j = 0; j < 8; j++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
          const u32 key = first_key + j * 8 + quarter * 2 + i % 2;
          const u32 limit = IS_CAUSAL ? cache_start + warp_query + group + (i / 2) * 8 + 1 : key_count;
          if (key >= limit) scores[j][i] = -3e38f;
        }
    }
    u32 shares[4][4];
#pragma unroll
    for (int half = 0; half < 2; half++) {
      float largest = best[half];
#pragma unroll
      for (int j = 0; j < 8; j++) largest = fmaxf(largest, fmaxf(scores[j][half * 2], scores[j][half * 2 + 1]));
      largest = quad_max(largest);
      const float decay = exp2f(best[half] - largest);
      best[half] = largest;
      float sum = 0;
#pragma unroll
      for (int j = 0; j < 8; j++) {
        const float low = exp2f(scores[j][half * 2] - largest), high = exp2f(scores[j][half * 2 + 1] - largest);
        sum += low + high;
        const __half2 pair = __floats2half2_rn(low, high);
        shares[j / 2][(j % 2) * 2 + half] = bits_of(pair);
      }
      total[half] = total[half] * decay + sum;
#pragma unroll
      for (int j = 0; j < D / 8; j++) out[j][half * 2] *= decay, out[j][half * 2 + 1] *= decay;
    }
#pragma unroll
    for (int i = 0; i < 4; i++)
#pragma unroll
      for (int j = 0; j < D / 16; j++) {
        u32 b[4];
        load_matrices_transposed(b, tile_values + row_offset<D>(i * 16 + (lane / 8) % 2 * 8 + lane % 8, j * 2 + lane / 16));
        mma(out[j * 2], shares[i][0], shares[i][1], shares[i][2], shares[i][3], b[0], b[1]);
        mma(out[j * 2 + 1], shares[i][0], shares[i][1], shares[i][2], shares[i][3], b[2], b[3]);
      }
    __syncthreads();
  }
#pragma unroll
  for (int half = 0; half < 2; half++) {
    total[half] = quad_sum(total[half]);
    const u32 row = warp_query + group + half * 8;
    if (row >= row_count) continue;
    const float scale = 1.0f / total[half];
#pragma unroll
    for (int j = 0; j < D / 8; j++)
      *reinterpret_cast<u32*>(output + (size_t)row * q_stride + j * 8 + quarter * 2) =
          pack_halves(out[j][half * 2] * scale, out[j][half * 2 + 1] * scale);
  }
}

// Text: queries of a chunk of one sequence see its cache up to themselves. Vision: every patch sees every patch.
#define FLASH_ATTENTION(SIZE)                                                                                       \
  KERNEL(flash_text__D_##SIZE, 128, 4 * FLASH_KEYS * SIZE * 2)                                                      \
  (const Step* step, const __half* q, const __half* keys, const __half* values, __half* output, u32 H, u32 KV,     \
   u32 CONTEXT) {                                                                                                   \
    begin_kernel();                                                                                                 \
    const u32 head = blockIdx.y;                                                                                    \
    const size_t cache = ((size_t)step->slot * KV + head / (H / KV)) * CONTEXT * SIZE;                              \
    flash<SIZE, true>(q + head * SIZE, keys + cache, values + cache, output + head * SIZE, step->row_count,         \
                      H * SIZE, step->cache_start);                                                                 \
  }                                                                                                                 \
  KERNEL(flash_vision__D_##SIZE, 128, 4 * FLASH_KEYS * SIZE * 2)                                                    \
  (const Step* step, const __half* q, const __half* keys, const __half* values, __half* output, u32 H) {           \
    begin_kernel();                                                                                                 \
    const u32 head = blockIdx.y;                                                                                    \
    const size_t cache = (size_t)head * step->row_count * SIZE;                                                     \
    flash<SIZE, false>(q + head * SIZE, keys + cache, values + cache, output + head * SIZE, step->row_count,        \
                       H * SIZE, 0);                                                                                \
  }
FLASH_ATTENTION(32)
FLASH_ATTENTION(128)
