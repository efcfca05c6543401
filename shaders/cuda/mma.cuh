// Tensor core instructions and the copies that feed them; sm_75 has smaller ones, which these are made of there.
#pragma once
#include "common.cuh"

// D += A B with A [16, 16] and B [16, 8] in f16, D in f32.
__device__ __forceinline__ void mma(float d[4], u32 a0, u32 a1, u32 a2, u32 a3, u32 b0, u32 b1) {
#if __CUDA_ARCH__ >= 800
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
#else
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
               : "r"(a0), "r"(a1), "r"(b0));
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
               : "r"(a2), "r"(a3), "r"(b1));
#endif
}

// A B with A [16, 32] and B [32, 8] in signed bytes, from sm_80 on.
__device__ __forceinline__ void multiply_bytes(int d[4], u32 a0, u32 a1, u32 a2, u32 a3, u32 b0, u32 b1) {
#if __CUDA_ARCH__ >= 800
  asm volatile(
      "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%10,%10,%10,%10};"
      : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
      : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1), "r"(0));
#endif
}

// Over the four lanes that hold a row of an mma's sums.
__device__ __forceinline__ float quad_max(float value) {
  value = fmaxf(value, __shfl_xor_sync(~0u, value, 1));
  return fmaxf(value, __shfl_xor_sync(~0u, value, 2));
}

__device__ __forceinline__ float quad_sum(float value) {
  value += __shfl_xor_sync(~0u, value, 1);
  return value + __shfl_xor_sync(~0u, value, 2);
}

__device__ __forceinline__ u32 shared_address(const void* pointer) { return (u32)__cvta_generic_to_shared(pointer); }

// Four 8x8 matrices of f16; lane i gives the address of row i % 8 of matrix i / 8.
__device__ __forceinline__ void load_matrices(u32 r[4], u32 address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}

__device__ __forceinline__ void load_matrices_transposed(u32 r[4], u32 address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}

// 16 bytes from global to shared memory, or zeros.
__device__ __forceinline__ void copy_async(u32 target, const void* source, bool is_valid) {
#if __CUDA_ARCH__ >= 800
  const int size = is_valid ? 16 : 0;
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(target), "l"(source), "r"(size) : "memory");
#else
  const uint4 value = is_valid ? *reinterpret_cast<const uint4*>(source) : make_uint4(0, 0, 0, 0);
  asm volatile("st.shared.v4.u32 [%0], {%1,%2,%3,%4};" ::"r"(target), "r"(value.x), "r"(value.y), "r"(value.z),
               "r"(value.w)
               : "memory");
#endif
}

// Four bytes from global to shared memory.
__device__ __forceinline__ void copy_word_async(u32 target, const void* source) {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(target), "l"(source) : "memory");
#else
  asm volatile("st.shared.u32 [%0], %1;" ::"r"(target), "r"(*reinterpret_cast<const u32*>(source)) : "memory");
#endif
}

__device__ __forceinline__ void store_shared_half(u32 target, __half value) {
  asm volatile("st.shared.u16 [%0], %1;" ::"r"(target), "h"(__half_as_ushort(value)) : "memory");
}

__device__ __forceinline__ void store_shared_word(u32 target, u32 value) {
  asm volatile("st.shared.u32 [%0], %1;" ::"r"(target), "r"(value) : "memory");
}

__device__ __forceinline__ void store_shared_vector(u32 target, uint4 value) {
  asm volatile("st.shared.v4.u32 [%0], {%1,%2,%3,%4};" ::"r"(target), "r"(value.x), "r"(value.y), "r"(value.z),
               "r"(value.w)
               : "memory");
}

__device__ __forceinline__ uint4 load_shared_vector(u32 source) {
  uint4 value;
  asm volatile("ld.shared.v4.u32 {%0,%1,%2,%3}, [%4];"
               : "=r"(value.x), "=r"(value.y), "=r"(value.z), "=r"(value.w)
               : "r"(source)
               : "memory");
  return value;
}

__device__ __forceinline__ __half2 load_shared_pair(u32 source) {
  u32 bits;
  asm volatile("ld.shared.u32 %0, [%1];" : "=r"(bits) : "r"(source) : "memory");
  return *reinterpret_cast<__half2*>(&bits);
}

__device__ __forceinline__ float2 load_shared_float2(u32 source) {
  float2 value;
  asm volatile("ld.shared.v2.f32 {%0, %1}, [%2];" : "=f"(value.x), "=f"(value.y) : "r"(source) : "memory");
  return value;
}

__device__ __forceinline__ u32 load_shared_word(u32 source) {
  u32 word;
  asm volatile("ld.shared.u32 %0, [%1];" : "=r"(word) : "r"(source) : "memory");
  return word;
}

__device__ __forceinline__ __half load_shared_half(u32 source) {
  unsigned short bits;
  asm volatile("ld.shared.u16 %0, [%1];" : "=h"(bits) : "r"(source) : "memory");
  return __ushort_as_half(bits);
}

// Ordinary reads and writes of shared memory before it come before what the asynchronous proxy (copies of the
// tensor memory unit, wgmma, barriers for them) does after it.
__device__ __forceinline__ void fence_async_proxy() {
#if __CUDA_ARCH__ >= 900
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}

__device__ __forceinline__ void commit_copies() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

// Waits until at most PENDING of the committed groups are still on their way.
template <int PENDING>
__device__ __forceinline__ void wait_for_copies() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_group %0;" ::"n"(PENDING) : "memory");
#endif
}

// 8 nibbles of a word, zero point 7, as f16 pairs of values (0, 4), (1, 5), (2, 6), (3, 7): exact integers.
// 0x6400 is 1024 in f16, whose low mantissa bits count ones; for nibbles four bits further up they count sixteenths.
__device__ __forceinline__ void unpack_nibbles(u32 word, __half2 out[4]) {
  const u32 magic = 0x64006400u;
  u32 bits[4];
  const u32 upper = word >> 8;
  bits[0] = (word & 0x000f000fu) | magic;
  bits[1] = (word & 0x00f000f0u) | magic;
  bits[2] = (upper & 0x000f000fu) | magic;
  bits[3] = (upper & 0x00f000f0u) | magic;
  const __half2 ones = __half2half2(__ushort_as_half(0x6407));       // 1031
  const __half2 sixteenth = __half2half2(__ushort_as_half(0x2c00));  // 1 / 16
  const __half2 offset = __half2half2(__ushort_as_half(0xd470));     // -71
#pragma unroll
  for (int i = 0; i < 4; i++) {
    const __half2 value = *reinterpret_cast<__half2*>(&bits[i]);
    out[i] = i % 2 == 0 ? __hsub2(value, ones) : __hfma2(value, sixteenth, offset);
  }
}

__device__ __forceinline__ u32 bits_of(__half2 value) { return *reinterpret_cast<u32*>(&value); }

// Eight values of a word in the order of K as f16.
__device__ __forceinline__ uint4 unpack_word(u32 word, __half2 scale) {
  __half2 pairs[4];
  unpack_nibbles(word, pairs);
  u32 products[4];
#pragma unroll
  for (int i = 0; i < 4; i++) products[i] = bits_of(__hmul2(pairs[i], scale));
  return make_uint4(__byte_perm(products[0], products[1], 0x5410), __byte_perm(products[2], products[3], 0x5410),
                    __byte_perm(products[0], products[1], 0x7632), __byte_perm(products[2], products[3], 0x7632));
}
