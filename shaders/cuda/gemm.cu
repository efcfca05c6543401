// Products of many rows in f16 with f32 sums, on tensor cores: y = x times the transposed weight. 4-bit weights are
// unpacked to f16 first, once for a whole prefill chunk, which costs a few percent and leaves one kernel to tune.
#include "mma.cuh"

// weight [N, K] at 4 bits, row by row, to f16; a thread a word.
KERNEL(dequantize_q4__rows, 256, 0)(const u32* weight, const __half* weight_scale, uint4* y, u32 K, u32 WORDS) {
  begin_kernel();
  const u32 i = blockIdx.x * 256 + threadIdx.x;
  if (i < WORDS) y[i] = unpack_word(weight[i], __half2half2(weight_scale[i / 4]));
}

// How a product is stored, and which weight row a row of the tile is.
struct StoreF32 {
  float* y;
  u32 N;
  static constexpr bool joins = false;
  __device__ __forceinline__ void pair(u32 row, u32 n, float low, float high) const {
    float* target = y + (size_t)row * N + n;
    if (n < N) target[0] = low;
    if (n + 1 < N) target[1] = high;
  }
};

struct StoreF16Bias {
  __half* y;
  const float* bias;
  u32 N;
  static constexpr bool joins = false;
  __device__ __forceinline__ void pair(u32 row, u32 n, float low, float high) const {
    __half* target = y + (size_t)row * N + n;
    if (n < N) target[0] = to_half(low + bias[n]);
    if (n + 1 < N) target[1] = to_half(high + bias[n + 1]);
  }
};

// Tiles of eight gate rows alternate with tiles of their eight up rows, so that a thread holds both of an output.
struct StoreSwiglu {
  __half* y;
  u32 F;
  static constexpr bool joins = true;
  __device__ __forceinline__ void pair(u32 row, u32 f, float gate0, float gate1, float up0, float up1) const {
    __half* target = y + (size_t)row * F + f;
    if (f < F) target[0] = to_half(silu(gate0) * up0);
    if (f + 1 < F) target[1] = to_half(silu(gate1) * up1);
  }
};

constexpr int TILE_M = 128, TILE_N = 128, TILE_K = 32, STAGES = 4;
constexpr u32 GEMM_SHARED = STAGES * (TILE_M + TILE_N) * TILE_K * 2;

// 16-byte piece `piece` of a row of 32 halves, swizzled so that eight rows of a matrix lie in different banks.
__device__ __forceinline__ u32 tile_offset(u32 row, u32 piece) { return row * 64 + ((piece ^ (row >> 1)) & 3) * 16; }

// Eight warps of 64 x 32 outputs.
template <typename Store>
__device__ __forceinline__ void multiply_tile(const __half* x, const __half* weight, const Step* step, u32 K, u32 rows_of_weight,
                                              u32 F, Store store) {
  extern __shared__ uint4 shared_memory[];
  begin_kernel();
  const u32 M = step->row_count;
  const u32 base = shared_address(shared_memory);
  const u32 warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const u32 first_row = blockIdx.x * TILE_M, first_output = blockIdx.y * TILE_N;
  const u32 warp_row = (warp / 4) * 64, warp_output = (warp % 4) * 32;

  // Weight row of row `r` of the tile; `rows_of_weight` and beyond are zeros.
  auto weight_row = [&](u32 r) -> u32 {
    if constexpr (!Store::joins) return first_output + r;
    const u32 f = first_output / 2 + (r / 16) * 8 + r % 8;
    if (f >= F) return rows_of_weight;
    return r % 16 < 8 ? f : F + f;
  };
  const __half* sources[4];
  u32 targets[4];
  bool valid[4];
#pragma unroll
  for (int i = 0; i < 4; i++) {
    const u32 index = threadIdx.x + (i % 2) * 256, row = index / 4, piece = index % 4;
    const u32 global_row = i < 2 ? first_row + row : weight_row(row);
    valid[i] = global_row < (i < 2 ? M : rows_of_weight);
    sources[i] = (i < 2 ? x : weight) + (valid[i] ? (size_t)global_row * K + piece * 8 : 0);
    targets[i] = base + (i < 2 ? 0 : TILE_M * TILE_K * 2) + tile_offset(row, piece);
  }
  const u32 steps = K / TILE_K;
  auto fetch = [&](u32 k) {
    const u32 stage = (k % STAGES) * (TILE_M + TILE_N) * TILE_K * 2;
#pragma unroll
    for (int i = 0; i < 4; i++)
      copy_async(targets[i] + stage, sources[i] + (valid[i] ? (size_t)k * TILE_K : 0), valid[i]);
  };
#pragma unroll
  for (u32 k = 0; k < STAGES - 1; k++) {
    if (k < steps) fetch(k);
    commit_copies();
  }
  float d[4][4][4] = {};
  for (u32 k = 0; k < steps; k++) {
    wait_for_copies<STAGES - 2>();
    __syncthreads();
    if (k + STAGES - 1 < steps) fetch(k + STAGES - 1);
    commit_copies();
    const u32 tile_x = base + (k % STAGES) * (TILE_M + TILE_N) * TILE_K * 2, tile_w = tile_x + TILE_M * TILE_K * 2;
#pragma unroll
    for (int half = 0; half < 2; half++) {
      u32 a[4][4], b[2][4];
#pragma unroll
      for (int i = 0; i < 4; i++)
        load_matrices(a[i], tile_x + tile_offset(warp_row + i * 16 + lane % 16, half * 2 + lane / 16));
#pragma unroll
      for (int i = 0; i < 2; i++)
        load_matrices(b[i], tile_w + tile_offset(warp_output + i * 16 + (lane / 16) * 8 + lane % 8, half * 2 + (lane / 8) % 2));
#pragma unroll
      for (int i = 0; i < 4; i++)
#pragma unroll
        for (int j = 0; j < 4; j++)
          mma(d[i][j], a[i][0], a[i][1], a[i][2], a[i][3], b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]);
    }
  }
#pragma unroll
  for (int i = 0; i < 4; i++)
#pragma unroll
    for (int half = 0; half < 2; half++) {
      const u32 row = first_row + warp_row + i * 16 + half * 8 + lane / 4;
      if (row >= M) continue;
#pragma unroll
      for (int j = 0; j < 4; j++) {
        if constexpr (Store::joins) {
          if (j % 2 == 0)
            store.pair(row, first_output / 2 + warp_output / 2 + j / 2 * 8 + lane % 4 * 2, d[i][j][half * 2],
                       d[i][j][half * 2 + 1], d[i][j + 1][half * 2], d[i][j + 1][half * 2 + 1]);
        } else {
          store.pair(row, first_output + warp_output + j * 8 + lane % 4 * 2, d[i][j][half * 2], d[i][j][half * 2 + 1]);
        }
      }
    }
}

KERNEL(gemm_f16__store_f32, 256, GEMM_SHARED)
(const __half* weight, const Step* step, const __half* x, float* y, u32 K, u32 N) {
  multiply_tile(x, weight, step, K, N, 0, StoreF32{y, N});
}

KERNEL(gemm_f16__store_f16_bias, 256, GEMM_SHARED)
(const __half* weight, const Step* step, const __half* x, const float* bias, __half* y, u32 K, u32 N) {
  multiply_tile(x, weight, step, K, N, 0, StoreF16Bias{y, bias, N});
}

KERNEL(gemm_f16__store_swiglu, 256, GEMM_SHARED)
(const __half* weight, const Step* step, const __half* x, __half* y, u32 K, u32 N) {
  multiply_tile(x, weight, step, K, N, N / 2, StoreSwiglu{y, N / 2});
}
