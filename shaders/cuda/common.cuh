// What every kernel shares: the kernel macro, the structs of a step, weight formats, sums over a block.
// Types and layouts are those of the WGSL preludes.
#pragma once
#include <cuda_fp16.h>

typedef unsigned int u32;

// A kernel by the name that the device looks up: `<shader>__<variant>__...`, dashes as underscores. Its parameters are
// matched by name with a KernelCall's bindings and constants. `shared` is its dynamic shared memory in bytes.
#define KERNEL(name, threads, shared)                  \
  enum : u32 { name##__shared_bytes = (shared) };      \
  extern "C" __global__ void __launch_bounds__(threads) name

// The same with so many blocks a multiprocessor, which caps a thread's registers.
#define KERNEL_DENSE(name, threads, blocks, shared)    \
  enum : u32 { name##__shared_bytes = (shared) };      \
  extern "C" __global__ void __launch_bounds__(threads, blocks) name

// The same for a kernel whose blocks wait for each other: it is launched so that all of them run at once.
#define KERNEL_TOGETHER(name, threads, shared)         \
  enum : u32 { name##__is_cooperative = 1 };           \
  enum : u32 { name##__shared_bytes = (shared) };      \
  extern "C" __global__ void __launch_bounds__(threads, 1) name

// The same, with blocks in pairs that reach each other's shared memory.
#if __CUDA_ARCH__ >= 900
#define IN_PAIRS __cluster_dims__(2, 1, 1)
#else
#define IN_PAIRS
#endif
#define KERNEL_PAIRED(name, threads, shared)           \
  enum : u32 { name##__is_cooperative = 1 };           \
  enum : u32 { name##__shared_bytes = (shared) };      \
  extern "C" __global__ void IN_PAIRS __launch_bounds__(threads, 1) name

// One token of a step.
struct Row {
  u32 position[3];
  u32 token;
  u32 cache_index;
  u32 slot;
  u32 generated;
  u32 reserved;
};
#define IMAGE_FLAG 0x80000000u

// What changes from one step to the next.
struct Step {
  u32 row_count;
  u32 grid_rows;
  u32 grid_columns;
  u32 slot;
  u32 cache_start;
  u32 reserved[3];
};

// Programmatic dependent launch: a kernel lets the next one start early and, before it touches what an earlier one wrote,
// waits for the end of all earlier ones. What does not depend on them (weights) may be fetched in between, so one that writes
// weights lets nobody start early.
__device__ __forceinline__ void launch_dependents() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;");
#endif
}

__device__ __forceinline__ void wait_for_earlier_kernels() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

__device__ __forceinline__ void begin_kernel() {
  launch_dependents();
  wait_for_earlier_kernels();
}

// Sum over LANES neighbours, a power of two; all lanes of the warp must call.
template <int LANES>
__device__ __forceinline__ float lane_sum(float value) {
#pragma unroll
  for (int offset = LANES / 2; offset > 0; offset >>= 1) value += __shfl_xor_sync(~0u, value, offset);
  return value;
}

__device__ __forceinline__ float warp_sum(float value) { return lane_sum<32>(value); }

// Sums of COUNT values over a warp, a power of two: lane i gets that of value i / (32 / COUNT). At each step a lane gives its
// partner half of what it has.
template <u32 COUNT, u32 LANES = 32>
__device__ __forceinline__ float warp_sums(const float values[COUNT]) {
  if constexpr (COUNT == 1) {
    return lane_sum<LANES>(values[0]);
  } else {
    const u32 lane = threadIdx.x % 32;
    float left[COUNT / 2];
#pragma unroll
    for (u32 i = 0; i < COUNT / 2; i++)
      left[i] = (lane & LANES / 2 ? values[i + COUNT / 2] : values[i]) +
                __shfl_xor_sync(~0u, lane & LANES / 2 ? values[i] : values[i + COUNT / 2], LANES / 2);
    return warp_sums<COUNT / 2, LANES / 2>(left);
  }
}

__device__ __forceinline__ float warp_max(float value) {
#pragma unroll
  for (int offset = 16; offset > 0; offset >>= 1) value = fmaxf(value, __shfl_xor_sync(~0u, value, offset));
  return value;
}

// Sum over a block of THREADS; every thread must call, and every one gets the result.
template <int THREADS>
__device__ __forceinline__ float block_sum(float value) {
  __shared__ float parts[THREADS / 32];
  value = warp_sum(value);
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = value;
  __syncthreads();
  float total = 0;
#pragma unroll
  for (int i = 0; i < THREADS / 32; i++) total += parts[i];
  __syncthreads();
  return total;
}

template <int THREADS>
__device__ __forceinline__ float block_max(float value) {
  __shared__ float parts[THREADS / 32];
  value = warp_max(value);
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = value;
  __syncthreads();
  float largest = parts[0];
#pragma unroll
  for (int i = 1; i < THREADS / 32; i++) largest = fmaxf(largest, parts[i]);
  __syncthreads();
  return largest;
}

// 2^x and 1 / x to the last bit or two, without the code for results and divisors that are denormal.
__device__ __forceinline__ float exp2_near(float x) {
  float result;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
}

__device__ __forceinline__ float reciprocal_near(float x) {
  float result;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
}

__device__ __forceinline__ float dot(float4 a, float4 b) { return a.x * b.x + a.y * b.y + a.z * b.z + a.w * b.w; }

__device__ __forceinline__ float silu(float x) { return __fdividef(x, 1.0f + __expf(-x)); }

// f16 with its largest finite value in place of infinity.
__device__ __forceinline__ __half to_half(float value) {
  return __float2half_rn(fminf(fmaxf(value, -65504.0f), 65504.0f));
}

__device__ __forceinline__ u32 pack_halves(float low, float high) {
  const __half2 pair = __halves2half2(to_half(low), to_half(high));
  return *reinterpret_cast<const u32*>(&pair);
}

__device__ __forceinline__ void store_vector(float* target, float4 value) { *reinterpret_cast<float4*>(target) = value; }
__device__ __forceinline__ void store_vector(__half* target, float4 value) {
  *reinterpret_cast<uint2*>(target) = make_uint2(pack_halves(value.x, value.y), pack_halves(value.z, value.w));
}

// Brings 128 bytes into the L2 cache.
__device__ __forceinline__ void prefetch(const void* address) { asm volatile("prefetch.global.L2 [%0];" ::"l"(address)); }

__device__ __forceinline__ void store_value(float* target, float value) { *target = value; }
__device__ __forceinline__ void store_value(__half* target, float value) { *target = to_half(value); }
__device__ __forceinline__ float load_value(const float* source) { return *source; }
__device__ __forceinline__ float load_value(const __half* source) { return __half2float(*source); }

// Matrices [N, K] by format; load8 gives 8 consecutive values along K.
struct Weight_f32 {
  static __device__ __forceinline__ void load8(const void* weight, const __half*, size_t row, u32 unit, u32 K, float out[8]) {
    const float4* values = reinterpret_cast<const float4*>(weight) + (row * K) / 4 + unit * 2;
    const float4 low = values[0], high = values[1];
    out[0] = low.x, out[1] = low.y, out[2] = low.z, out[3] = low.w;
    out[4] = high.x, out[5] = high.y, out[6] = high.z, out[7] = high.w;
  }
};

struct Weight_f16 {
  static __device__ __forceinline__ void load8(const void* weight, const __half*, size_t row, u32 unit, u32 K, float out[8]) {
    const __half* values = reinterpret_cast<const __half*>(weight) + row * K + unit * 8;
#pragma unroll
    for (int i = 0; i < 8; i++) out[i] = __half2float(values[i]);
  }
};

struct Weight_q4 {
  static __device__ __forceinline__ void load8(const void* weight, const __half* scales, size_t row, u32 unit, u32 K, float out[8]) {
    const u32 word = reinterpret_cast<const u32*>(weight)[row * (K / 8) + unit];
    const float scale = __half2float(scales[row * (K / 32) + unit / 4]);
#pragma unroll
    for (int i = 0; i < 8; i++) out[i] = (float)((int)((word >> (4 * i)) & 15u) - 7) * scale;
  }
};

struct Weight_q8 {
  static __device__ __forceinline__ void load8(const void* weight, const __half* scales, size_t row, u32 unit, u32 K, float out[8]) {
    const uint2 words = reinterpret_cast<const uint2*>(weight)[row * (K / 8) + unit];
    const float scale = __half2float(scales[row * (K / 32) + unit / 4]);
#pragma unroll
    for (int i = 0; i < 8; i++) {
      const u32 word = i < 4 ? words.x : words.y;
      out[i] = (float)((int)((word >> (8 * (i % 4))) & 255u) - 127) * scale;
    }
  }
};

// `weight_scale` is a parameter of the quantised formats only.
#define SCALE_PARAMETER_f32
#define SCALE_PARAMETER_f16
#define SCALE_PARAMETER_q4 const __half* weight_scale,
#define SCALE_PARAMETER_q8 const __half* weight_scale,
#define SCALE_ARGUMENT_f32 nullptr
#define SCALE_ARGUMENT_f16 nullptr
#define SCALE_ARGUMENT_q4 weight_scale
#define SCALE_ARGUMENT_q8 weight_scale
#define FOR_EACH_WEIGHT_FORMAT(X) X(f32) X(f16) X(q4) X(q8)

// Number formats of the KV cache and of activations.
typedef float Number_f32;
typedef __half Number_f16;
