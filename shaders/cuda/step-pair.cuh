// Pairs of blocks, for more sequences than two: neighbours, a cluster, share the rows of `down`, the widest. Each multiplies half
// of a row for all of the pair's tiles, and sends what it has of a tile to the other's shared memory where that is the tile's
// owner. So a block receives half of the activations only, and they leave room for half as many weights again on their way.
// Rows of 4,096 values are not worth it: the way to the other block takes as long as their activations do.
#pragma once
#include "step-shape.cuh"

#if __CUDA_ARCH__ >= 900

// Tiles of a product that a block of a pair owns at most.
constexpr u32 OWNED_TILES = 4;

__device__ __forceinline__ u32 pair_rank() { return blockIdx.x % 2; }
__device__ __forceinline__ u32 pair_index() { return blockIdx.x / 2; }
__device__ __forceinline__ u32 pair_count() { return gridDim.x / 2; }

// What a block multiplies of a row of K values: all of it, or its half in whole units of 256, but for the row's end.
struct RowPart {
  // Units, and octets of values.
  u32 first, count, first_octet, octets;
  __device__ __forceinline__ RowPart(u32 K, bool is_shared) {
    const u32 units = (K + 255) / 256, half = (units + 1) / 2;
    first = is_shared ? pair_rank() * half : 0;
    count = !is_shared ? units : pair_rank() == 0 ? half : units - half;
    first_octet = first * 32;
    octets = min(K / 8, (first + count) * 32) - min(K / 8, first_octet);
  }
};

// All threads of both blocks that have not ended, by whole warps.
__device__ __forceinline__ void pair_sync() {
  __syncwarp();
  asm volatile("barrier.cluster.arrive.aligned;\nbarrier.cluster.wait.aligned;" ::: "memory");
}

// An address of shared memory as it is in the block of that rank.
__device__ __forceinline__ u32 pair_address(u32 address, u32 rank) {
  u32 there;
  asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(there) : "r"(address), "r"(rank));
  return there;
}

// Two words to the block whose addresses they are; its barrier counts their bytes when they have come.
__device__ __forceinline__ void send_pair_words(u32 target, u32 first, u32 second, u32 barrier) {
  asm volatile("st.async.shared::cluster.mbarrier::complete_tx::bytes.v2.b32 [%0], {%1, %2}, [%3];" ::"r"(target), "r"(first),
               "r"(second), "r"(barrier)
               : "memory");
}

#endif
