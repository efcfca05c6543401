// The norms between the products of a decode step of one sequence, and the residual stream.
#pragma once
#include "step-product.cuh"

#if __CUDA_ARCH__ >= 900

// Sums over the block of four values at once, in one meeting: what the warps have is added up by lanes, too. `parts` may be used
// again after another barrier.
__device__ __forceinline__ void sum_four(float values[4], float (*parts)[STEP_WARPS]) {
  const u32 lane = threadIdx.x % 32;
  const float part = warp_sums<4>(values);
  if (lane % 8 == 0) parts[lane / 8][threadIdx.x / 32] = part;
  step_sync();
  const float2 pair = reinterpret_cast<const float2*>(parts[lane / 8])[lane % 8];
  const float sum = lane_sum<8>(pair.x + pair.y);
#pragma unroll
  for (u32 i = 0; i < 4; i++) values[i] = __shfl_sync(~0u, sum, i * 8);
}
static_assert(STEP_WARPS == 16, "eight lanes add up two warps' each");

__device__ __forceinline__ void put_eight(float out[8], float4 low, float4 high) {
  out[0] = low.x, out[1] = low.y, out[2] = low.z, out[3] = low.w;
  out[4] = high.x, out[5] = high.y, out[6] = high.z, out[7] = high.w;
}

// 1 over a row's root of squares, of which this is the sum.
__device__ __forceinline__ float norm_scale(const StepShape& shape, float sum) {
  return rsqrtf(__fdividef(sum, (float)shape.C) + shape.epsilon);
}

// A thread's share of the sum of squares.
__device__ __forceinline__ float square_eight(const float values[8]) {
  float sum = 0;
#pragma unroll
  for (u32 j = 0; j < 8; j++) sum += values[j] * values[j];
  return sum;
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

// Eight channels, by the places of their halves.
__device__ __forceinline__ void receive_eight(float out[8], const uint4* low_place, const uint4* high_place, u32 seal) {
  uint4 low, high;
  do {
    low = look_at_numbers(low_place);
    high = look_at_numbers(high_place);
  } while (numbers_are_missing(low, seal) | numbers_are_missing(high, seal));
  put_eight(out, opened_numbers(low), opened_numbers(high));
}

// The sandwich of norms, by every block for itself: x = rms(hidden + rms(projected) * post) * pre. A thread has eight
// channels. Each block sends its share of the new residual stream. Without `post`, x = rms(hidden) * pre.
__device__ __forceinline__ void norm_activations(const StepShape& shape, const float4* hidden, const StepNorm& norm,
                                                 const Activations<1>& x, float (*parts)[STEP_WARPS]) {
  const u32 i = threadIdx.x;
  const bool is_mine = i < shape.C / 8;
  const u32 low = split_place(shape, i, 0), high = split_place(shape, i, 1);
  float stream[8] = {}, pre_weight[8] = {};
  if (is_mine) {
    put_eight(pre_weight, norm.pre[i * 2], norm.pre[i * 2 + 1]);
    if (norm.before) receive_eight(stream, norm.before + low, norm.before + high, norm.before_seal);
    else put_eight(stream, hidden[i * 2], hidden[i * 2 + 1]);
  }
  // Of squares of the stream and of what a product gave, of the stream times that with its weights, and of squares of that: the
  // new stream's sum of squares follows, without a second meeting. What rounding leaves of it may be below zero.
  float values[8] = {}, sums[4] = {};
  sums[0] = square_eight(stream);
  if (norm.post && is_mine) {
    float weight[8];
    put_eight(weight, norm.post[i * 2], norm.post[i * 2 + 1]);
    receive_eight(values, norm.projected + low, norm.projected + high, norm.seal);
    sums[1] = square_eight(values);
#pragma unroll
    for (u32 j = 0; j < 8; j++) {
      values[j] *= weight[j];
      sums[2] += stream[j] * values[j];
    }
    sums[3] = square_eight(values);
  }
  sum_four(sums, parts);
  const float added = norm_scale(shape, sums[1]);
#pragma unroll
  for (u32 j = 0; j < 8; j++) stream[j] += values[j] * added;
  if (has_unit(i, shape.C)) {
    const float scale = norm_scale(shape, fmaxf(sums[0] + added * (2 * sums[2] + added * sums[3]), 0));
    float out[8];
#pragma unroll
    for (u32 j = 0; j < 8; j++) out[j] = stream[j] * scale * pre_weight[j];
    x.store(i, 0, out);
  }
  step_sync();
  // A thread of its own block sends each eight channels of the new stream, which nobody needs before the next norm.
  if (norm.post && is_mine && i % gridDim.x == blockIdx.x) {
    send_numbers(norm.stream + low, make_float4(stream[0], stream[1], stream[2], stream[3]), norm.seal);
    send_numbers(norm.stream + high, make_float4(stream[4], stream[5], stream[6], stream[7]), norm.seal);
  }
}

#endif
