// Norms of rows, alone and with the residual stream. One block a row; every value is read once and kept in registers.
#include "common.cuh"

constexpr int ROW_THREADS = 512;
// A thread keeps ITEMS vectors of four: rows of up to 2048 * ITEMS values. Few registers matter in a decode step, where
// the block must find room beside the product that runs before it.
#define FOR_EACH_ROW(X) X(f32, 2) X(f16, 2) X(f32, 8) X(f16, 8)

// Brings a vector [C] that no kernel writes closer, before the wait for earlier kernels.
__device__ __forceinline__ void prefetch_row(const float4* row, u32 C) {
  for (u32 i = threadIdx.x * 8; i < C / 4; i += ROW_THREADS * 8) prefetch(row + i);
}

// y[row] with MERGE > 1: MERGE rows interleaved by channel, [rows / MERGE, C, MERGE].
template <typename Number>
__device__ __forceinline__ void store_row(Number* y, u32 row, u32 i, u32 C, u32 MERGE, float4 value) {
  if (MERGE == 1) return store_vector(y + (size_t)row * C + i * 4, value);
  const size_t output = (size_t)(row / MERGE) * C * MERGE + row % MERGE;
  store_value(y + output + (size_t)(i * 4 + 0) * MERGE, value.x);
  store_value(y + output + (size_t)(i * 4 + 1) * MERGE, value.y);
  store_value(y + output + (size_t)(i * 4 + 2) * MERGE, value.z);
  store_value(y + output + (size_t)(i * 4 + 3) * MERGE, value.w);
}

__device__ __forceinline__ float4 scale4(float4 value, float scale, float4 weight) {
  return make_float4(value.x * scale * weight.x, value.y * scale * weight.y, value.z * scale * weight.z,
                     value.w * scale * weight.w);
}

__device__ __forceinline__ float4 add4(float4 a, float4 b) { return make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w); }

__device__ __forceinline__ float rms_scale(float squares, u32 C, float epsilon) {
  return rsqrtf(block_sum<ROW_THREADS>(squares) / (float)C + epsilon);
}

// y[t] = rms(x[t]) * weight
#define RMS_NORM(OUT)                                                                                               \
  KERNEL(rms_norm__out_##OUT, ROW_THREADS, 0)                                                                       \
  (const float4* x, const float4* weight, Number_##OUT* y, u32 C, float EPSILON, u32 MERGE) {                       \
    begin_kernel();                                                                                                 \
    const size_t first = (size_t)blockIdx.x * (C / 4);                                                              \
    float squares = 0;                                                                                              \
    for (u32 i = threadIdx.x; i < C / 4; i += ROW_THREADS) squares += dot(x[first + i], x[first + i]);              \
    const float scale = rms_scale(squares, C, EPSILON);                                                             \
    for (u32 i = threadIdx.x; i < C / 4; i += ROW_THREADS)                                                          \
      store_row(y, blockIdx.x, i, C, MERGE, scale4(x[first + i], scale, weight[i]));                                \
  }
RMS_NORM(f32)
RMS_NORM(f16)

// hidden[t] += x[t], then y[t] = rms(hidden[t]) * weight: the vision tower's residual and next norm.
#define ADD_NORM(OUT, ITEMS)                                                                                               \
  KERNEL(add_norm__out_##OUT##__ITEMS_##ITEMS, ROW_THREADS, 0)                                                                       \
  (const float4* x, const float4* weight, float4* hidden, Number_##OUT* y, u32 C, float EPSILON, u32 MERGE) {       \
    begin_kernel();                                                                                                 \
    const size_t first = (size_t)blockIdx.x * (C / 4);                                                              \
    float4 values[ITEMS];                                                                                       \
    float squares = 0;                                                                                              \
    _Pragma("unroll") for (int item = 0; item < ITEMS; item++) {                                                \
      const u32 i = threadIdx.x + item * ROW_THREADS;                                                               \
      if (i >= C / 4) continue;                                                                                     \
      values[item] = add4(hidden[first + i], x[first + i]);                                                         \
      hidden[first + i] = values[item];                                                                             \
      squares += dot(values[item], values[item]);                                                                   \
    }                                                                                                               \
    const float scale = rms_scale(squares, C, EPSILON);                                                             \
    _Pragma("unroll") for (int item = 0; item < ITEMS; item++) {                                                \
      const u32 i = threadIdx.x + item * ROW_THREADS;                                                               \
      if (i < C / 4) store_row(y, blockIdx.x, i, C, MERGE, scale4(values[item], scale, weight[i]));                 \
    }                                                                                                               \
  }
FOR_EACH_ROW(ADD_NORM)

// GLM-4's sandwich: hidden[t] += rms(x[t]) * post_weight, then y[t] = rms(hidden[t]) * pre_weight.
#define SANDWICH_NORM(OUT, ITEMS)                                                                                   \
  KERNEL(sandwich_norm__out_##OUT##__ITEMS_##ITEMS, ROW_THREADS, 0)                                                 \
  (const float4* x, const float4* post_weight, const float4* pre_weight, float4* hidden, Number_##OUT* y, u32 C,    \
   float EPSILON) {                                                                                                 \
    const size_t first = (size_t)blockIdx.x * (C / 4);                                                              \
    float4 values[ITEMS], stream[ITEMS];                                                                            \
    launch_dependents();                                                                                            \
    prefetch_row(post_weight, C);                                                                                   \
    prefetch_row(pre_weight, C);                                                                                    \
    wait_for_earlier_kernels();                                                                                     \
    float squares = 0;                                                                                              \
    _Pragma("unroll") for (int item = 0; item < ITEMS; item++) {                                                    \
      const u32 i = threadIdx.x + item * ROW_THREADS;                                                               \
      if (i >= C / 4) continue;                                                                                     \
      values[item] = x[first + i];                                                                                  \
      stream[item] = hidden[first + i];                                                                             \
      squares += dot(values[item], values[item]);                                                                   \
    }                                                                                                               \
    const float post_scale = rms_scale(squares, C, EPSILON);                                                        \
    squares = 0;                                                                                                    \
    _Pragma("unroll") for (int item = 0; item < ITEMS; item++) {                                                    \
      const u32 i = threadIdx.x + item * ROW_THREADS;                                                               \
      if (i >= C / 4) continue;                                                                                     \
      stream[item] = add4(stream[item], scale4(values[item], post_scale, post_weight[i]));                          \
      hidden[first + i] = stream[item];                                                                             \
      squares += dot(stream[item], stream[item]);                                                                   \
    }                                                                                                               \
    const float pre_scale = rms_scale(squares, C, EPSILON);                                                         \
    _Pragma("unroll") for (int item = 0; item < ITEMS; item++) {                                                    \
      const u32 i = threadIdx.x + item * ROW_THREADS;                                                               \
      if (i < C / 4) store_row(y, blockIdx.x, i, C, 1, scale4(stream[item], pre_scale, pre_weight[i]));             \
    }                                                                                                               \
  }
FOR_EACH_ROW(SANDWICH_NORM)

// Complementary error function by a Chebyshev fit (Press et al., Numerical Recipes, 6.2), as in the WGSL twin.
__device__ __forceinline__ float erfc_positive(float z) {
  const float t = 1.0f / (1.0f + 0.5f * z);
  float p = 0.17087277f;
  p = p * t - 0.82215223f;
  p = p * t + 1.48851587f;
  p = p * t - 1.13520398f;
  p = p * t + 0.27886807f;
  p = p * t - 0.18628806f;
  p = p * t + 0.09678418f;
  p = p * t + 0.37409196f;
  p = p * t + 1.00002368f;
  p = p * t - 1.26551223f;
  return t * expf(-z * z + p);
}

__device__ __forceinline__ float gelu(float value) {
  const float tail = 0.5f * erfc_positive(fabsf(value) * 0.70710678118f);
  return value * (value >= 0.0f ? 1.0f - tail : tail);
}

// y[t] = gelu((x[t] - mean) * rsqrt(variance + EPSILON) * weight + bias) with the exact GELU; y may be x.
#define LAYER_NORM_GELU(OUT)                                                                                        \
  KERNEL(layer_norm_gelu__out_##OUT, ROW_THREADS, 0)                                                                \
  (const float* x, const float* weight, const float* bias, Number_##OUT* y, u32 C, float EPSILON) {                 \
    begin_kernel();                                                                                                 \
    const size_t first = (size_t)blockIdx.x * C;                                                                    \
    float sum = 0;                                                                                                  \
    for (u32 i = threadIdx.x; i < C; i += ROW_THREADS) sum += x[first + i];                                         \
    const float mean = block_sum<ROW_THREADS>(sum) / (float)C;                                                      \
    float squares = 0;                                                                                              \
    for (u32 i = threadIdx.x; i < C; i += ROW_THREADS) squares += (x[first + i] - mean) * (x[first + i] - mean);    \
    const float scale = rms_scale(squares, C, EPSILON);                                                             \
    for (u32 i = threadIdx.x; i < C; i += ROW_THREADS)                                                              \
      store_value(y + first + i, gelu((x[first + i] - mean) * scale * weight[i] + bias[i]));                        \
  }
LAYER_NORM_GELU(f32)
LAYER_NORM_GELU(f16)
