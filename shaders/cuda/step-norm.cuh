// The norms between the products of a decode step of one sequence, and the residual stream.
#pragma once
#include "step-product.cuh"

#if __CUDA_ARCH__ >= 900

// Sums over the block of a value for each column; `parts` may be used again after two more barriers.
template <u32 COLUMNS>
__device__ __forceinline__ void sum_columns(float values[COLUMNS], float (*parts)[COLUMNS]) {
#pragma unroll
  for (u32 column = 0; column < COLUMNS; column++) {
    const float sum = warp_sum(values[column]);
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32][column] = sum;
  }
  step_sync();
#pragma unroll
  for (u32 column = 0; column < COLUMNS; column++) {
    float total = 0;
#pragma unroll
    for (u32 warp = 0; warp < STEP_WARPS; warp++) total += parts[warp][column];
    values[column] = total;
  }
}

__device__ __forceinline__ void put_eight(float out[8], float4 low, float4 high) {
  out[0] = low.x, out[1] = low.y, out[2] = low.z, out[3] = low.w;
  out[4] = high.x, out[5] = high.y, out[6] = high.z, out[7] = high.w;
}

// 1 over a row's root of squares, of which this is the sum.
__device__ __forceinline__ float norm_scale(const StepShape& shape, float sum) {
  return rsqrtf(sum / (float)shape.C + shape.epsilon);
}

// A thread's share of the sums of squares.
template <u32 COLUMNS>
__device__ __forceinline__ void square_columns(float sums[COLUMNS], const float (*values)[8]) {
#pragma unroll
  for (u32 column = 0; column < COLUMNS; column++) {
    sums[column] = 0;
#pragma unroll
    for (u32 j = 0; j < 8; j++) sums[column] += values[column][j] * values[column][j];
  }
}

// A norm's weights, where its values come from and where the new residual stream goes, and the stream before it.
struct StepNorm {
  // Null for the first norm of a step, which has the embedded tokens alone.
  const float4* post;
  const float4* pre;
  const uint4* projected;
  uint4* stream;
  u32 seal;
  // Null for the embedded tokens.
  const uint4* before;
  u32 before_seal;
};

// The eight channels of a thread of each of several columns, from [columns, C].
template <u32 COLUMNS>
__device__ __forceinline__ void receive_columns(float out[COLUMNS][8], const uint4* source, u32 C, u32 columns, u32 seal) {
  uint4 words[COLUMNS][2];
  u32 is_missing;
  do {
    is_missing = 0;
#pragma unroll
    for (u32 column = 0; column < COLUMNS; column++)
#pragma unroll
      for (u32 j = 0; j < 2; j++)
        words[column][j] = look_at_numbers(source + min(column, columns - 1) * (C / 4) + threadIdx.x * 2 + j);
#pragma unroll
    for (u32 column = 0; column < COLUMNS; column++)
#pragma unroll
      for (u32 j = 0; j < 2; j++) is_missing |= numbers_are_missing(words[column][j], seal);
  } while (is_missing);
#pragma unroll
  for (u32 column = 0; column < COLUMNS; column++)
    put_eight(out[column], opened_numbers(words[column][0]), opened_numbers(words[column][1]));
}

// The sandwich of norms, by every block for itself: x = rms(hidden + rms(projected) * post) * pre. A thread has eight
// channels. Each block sends its share of the new residual stream. Without `post`, x = rms(hidden) * pre.
template <u32 COLUMNS>
__device__ __forceinline__ void norm_activations(const StepShape& shape, const float4* hidden, const StepNorm& norm,
                                                 const Activations<COLUMNS>& x, float (*parts)[STEP_WARPS][COLUMNS]) {
  const u32 vectors = shape.C / 4, i = threadIdx.x;
  const bool is_mine = i < shape.C / 8;
  float stream[COLUMNS][8] = {}, pre_weight[8] = {}, sums[COLUMNS];
  if (is_mine) {
    put_eight(pre_weight, norm.pre[i * 2], norm.pre[i * 2 + 1]);
    if (norm.before) {
      receive_columns<COLUMNS>(stream, norm.before, shape.C, shape.columns, norm.before_seal);
    } else {
#pragma unroll
      for (u32 column = 0; column < COLUMNS; column++) {
        const float4* const source = hidden + (size_t)min(column, shape.columns - 1) * vectors + i * 2;
        put_eight(stream[column], source[0], source[1]);
      }
    }
  }
  if (norm.post) {
    float values[COLUMNS][8] = {}, post_weight[8] = {};
    if (is_mine) {
      put_eight(post_weight, norm.post[i * 2], norm.post[i * 2 + 1]);
      receive_columns<COLUMNS>(values, norm.projected, shape.C, shape.columns, norm.seal);
    }
    square_columns<COLUMNS>(sums, values);
    sum_columns<COLUMNS>(sums, parts[0]);
    // A thread of its own block sends each eight channels of the new stream.
    const bool is_writer = is_mine && i % gridDim.x == blockIdx.x;
#pragma unroll
    for (u32 column = 0; column < COLUMNS; column++) {
      const float scale = norm_scale(shape, sums[column]);
#pragma unroll
      for (u32 j = 0; j < 8; j++) stream[column][j] += values[column][j] * scale * post_weight[j];
      if (!is_writer || column >= shape.columns) continue;
      uint4* const target = norm.stream + column * vectors + i * 2;
      const float* const v = stream[column];
      send_numbers(target, make_float4(v[0], v[1], v[2], v[3]), norm.seal);
      send_numbers(target + 1, make_float4(v[4], v[5], v[6], v[7]), norm.seal);
    }
  }
  square_columns<COLUMNS>(sums, stream);
  sum_columns<COLUMNS>(sums, parts[1]);
  if (has_unit(i, shape.C)) {
#pragma unroll
    for (u32 column = 0; column < COLUMNS; column++) {
      const float scale = norm_scale(shape, sums[column]);
      float out[8];
#pragma unroll
      for (u32 j = 0; j < 8; j++) out[j] = stream[column][j] * scale * pre_weight[j];
      x.store(i, column, out);
    }
  }
  step_sync();
}

#endif
