// Products and attention in f32 for every weight and cache format: what runs when a model's formats or head sizes
// have no tensor core kernel.
#include "common.cuh"

// y = x times the transposed weight. Tiles of 64 rows x 64 outputs; a thread has 4 x 4 of them.
template <typename Weight>
__device__ __forceinline__ void matmul_plain(const void* weight, const __half* scale, const Step* step, const float* x,
                                             const float* bias, float* y, u32 K, u32 N, u32 Y_STRIDE, u32 Y_OFFSET,
                                             u32 ROWS) {
  __shared__ float tile_x[16][65];
  __shared__ float tile_w[16][65];
  begin_kernel();
  const u32 row_count = ROWS ? ROWS : step->row_count;
  const u32 first_output = blockIdx.x * 64, first_row = blockIdx.y * 64;
  const u32 tx = threadIdx.x % 16, ty = threadIdx.x / 16;
  // Loading: 64 rows x 2 units of 8 of each operand by 128 threads.
  const u32 load_row = (threadIdx.x % 128) / 2, load_unit = threadIdx.x % 2;
  float sums[4][4] = {};
  for (u32 k = 0; k < K; k += 16) {
    float values[8] = {};
    const bool is_inside = k + load_unit * 8 < K;
    if (threadIdx.x < 128) {
      const u32 row = first_row + load_row;
      if (row < row_count && is_inside)
        for (int i = 0; i < 8; i++) values[i] = x[(size_t)row * K + k + load_unit * 8 + i];
      for (int i = 0; i < 8; i++) tile_x[load_unit * 8 + i][load_row] = values[i];
    } else {
      const u32 output = first_output + load_row;
      if (output < N && is_inside) Weight::load8(weight, scale, output, k / 8 + load_unit, K, values);
      for (int i = 0; i < 8; i++) tile_w[load_unit * 8 + i][load_row] = values[i];
    }
    __syncthreads();
#pragma unroll
    for (int i = 0; i < 16; i++) {
      float left[4], right[4];
#pragma unroll
      for (int j = 0; j < 4; j++) left[j] = tile_x[i][ty * 4 + j], right[j] = tile_w[i][tx * 4 + j];
#pragma unroll
      for (int r = 0; r < 4; r++)
#pragma unroll
        for (int c = 0; c < 4; c++) sums[r][c] += left[r] * right[c];
    }
    __syncthreads();
  }
  for (int r = 0; r < 4; r++)
    for (int c = 0; c < 4; c++) {
      const u32 row = first_row + ty * 4 + r, output = first_output + tx * 4 + c;
      if (row < row_count && output < N)
        y[(size_t)row * Y_STRIDE + Y_OFFSET + output] = sums[r][c] + (bias ? bias[Y_OFFSET + output] : 0.0f);
    }
}

#define MATMUL_PLAIN(FORMAT)                                                                                        \
  KERNEL(matmul_plain__weight_##FORMAT##__store_plain, 256, 0)                                                      \
  (const void* weight, SCALE_PARAMETER_##FORMAT const Step* step, const float* x, float* y, u32 K, u32 N,           \
   u32 Y_STRIDE, u32 Y_OFFSET, u32 ROWS) {                                                                          \
    matmul_plain<Weight_##FORMAT>(weight, SCALE_ARGUMENT_##FORMAT, step, x, nullptr, y, K, N, Y_STRIDE, Y_OFFSET,   \
                                  ROWS);                                                                            \
  }                                                                                                                 \
  KERNEL(matmul_plain__weight_##FORMAT##__store_bias, 256, 0)                                                       \
  (const void* weight, SCALE_PARAMETER_##FORMAT const Step* step, const float* x, const float* bias, float* y,      \
   u32 K, u32 N, u32 Y_STRIDE, u32 Y_OFFSET, u32 ROWS) {                                                            \
    matmul_plain<Weight_##FORMAT>(weight, SCALE_ARGUMENT_##FORMAT, step, x, bias, y, K, N, Y_STRIDE, Y_OFFSET,      \
                                  ROWS);                                                                            \
  }
FOR_EACH_WEIGHT_FORMAT(MATMUL_PLAIN)

// y[t, f] = silu(x[t, f]) * x[t, F + f]
KERNEL(swiglu_plain, 128, 0)(const float* x, float* y, u32 F) {
  begin_kernel();
  const u32 f = blockIdx.x * 128 + threadIdx.x;
  if (f >= F) return;
  const size_t source = (size_t)blockIdx.y * F * 2 + f;
  y[(size_t)blockIdx.y * F + f] = silu(x[source]) * x[source + F];
}

constexpr int PLAIN_KEYS = 128;

// One block a query and head; PLAIN_KEYS keys at a time with a running maximum. D at most 256.
template <typename Cache>
__device__ __forceinline__ void attend_plain(const float* q, const Cache* keys, const Cache* values, float* output,
                                             u32 key_count, u32 D, float scale) {
  __shared__ float query[256];
  __shared__ float shares[PLAIN_KEYS];
  for (u32 d = threadIdx.x; d < D; d += PLAIN_KEYS) query[d] = q[d] * scale;
  __syncthreads();
  float best = -3e38f, total = 0;
  float sums[2] = {};
  for (u32 first = 0; first < key_count; first += PLAIN_KEYS) {
    const u32 key = first + threadIdx.x;
    float score = -3e38f;
    if (key < key_count) {
      score = 0;
      for (u32 d = 0; d < D; d++) score += query[d] * load_value(keys + (size_t)key * D + d);
    }
    const float new_best = fmaxf(best, block_max<PLAIN_KEYS>(score));
    const float share = key < key_count ? expf(score - new_best) : 0.0f;
    const float decay = expf(best - new_best);
    shares[threadIdx.x] = share;
    total = total * decay + block_sum<PLAIN_KEYS>(share);
    best = new_best;
    const u32 count = min((u32)PLAIN_KEYS, key_count - first);
    for (int part = 0; part < 2; part++) {
      const u32 d = threadIdx.x + part * PLAIN_KEYS;
      if (d >= D) continue;
      float sum = sums[part] * decay;
      for (u32 i = 0; i < count; i++) sum += shares[i] * load_value(values + (size_t)(first + i) * D + d);
      sums[part] = sum;
    }
    __syncthreads();
  }
  for (int part = 0; part < 2; part++) {
    const u32 d = threadIdx.x + part * PLAIN_KEYS;
    if (d < D) output[d] = sums[part] / total;
  }
}

// Text: row t sees its slot's cache up to itself. Vision: every patch sees every patch.
#define ATTENTION_PLAIN(CACHE)                                                                                      \
  KERNEL(attention_rows_plain__cache_##CACHE, PLAIN_KEYS, 0)                                                        \
  (const Row* rows, const float* q, const Number_##CACHE* keys, const Number_##CACHE* values, float* output, u32 H, \
   u32 KV, u32 D, u32 CONTEXT, float SCALE) {                                                                       \
    begin_kernel();                                                                                                 \
    const Row row = rows[blockIdx.x];                                                                               \
    const size_t cache = ((size_t)row.slot * KV + blockIdx.y / (H / KV)) * CONTEXT * D;                             \
    const size_t place = ((size_t)blockIdx.x * H + blockIdx.y) * D;                                                 \
    attend_plain(q + place, keys + cache, values + cache, output + place, row.cache_index + 1, D, SCALE);           \
  }                                                                                                                 \
  KERNEL(attention_patches_plain__cache_##CACHE, PLAIN_KEYS, 0)                                                     \
  (const Step* step, const float* q, const Number_##CACHE* keys, const Number_##CACHE* values, float* output,       \
   u32 H, u32 D, float SCALE) {                                                                                     \
    begin_kernel();                                                                                                 \
    const size_t cache = (size_t)blockIdx.y * step->row_count * D;                                                  \
    const size_t place = ((size_t)blockIdx.x * H + blockIdx.y) * D;                                                 \
    attend_plain(q + place, keys + cache, values + cache, output + place, step->row_count, D, SCALE);               \
  }
ATTENTION_PLAIN(f32)
ATTENTION_PLAIN(f16)

// Seeded random bits, some of them fixed; as fill-random.wgsl.
__device__ __forceinline__ u32 pcg(u32 value) {
  const u32 state = value * 747796405u + 2891336453u;
  const u32 word = ((state >> ((state >> 28) + 4)) ^ state) * 277803737u;
  return (word >> 22) ^ word;
}

KERNEL(fill_random, 256, 0)(u32* words, u32 COUNT, u32 SEED, u32 KEEP, u32 FORCE) {
  wait_for_earlier_kernels();
  const u32 i = (blockIdx.y * 32768 + blockIdx.x) * 256 + threadIdx.x;
  if (i < COUNT) words[i] = (pcg(i ^ pcg(SEED)) & KEEP) | FORCE;
}

// y = x in f16.
KERNEL(to_f16, 256, 0)(const float* x, __half* y, u32 COUNT) {
  begin_kernel();
  const u32 i = blockIdx.x * 256 + threadIdx.x;
  if (i < COUNT) y[i] = to_half(x[i]);
}
