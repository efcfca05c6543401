// The products of gemm.cu on Hopper's own matrix instructions (wgmma), which read both operands from shared memory: a
// block takes 128 rows x 256 outputs, each of its two warpgroups 64 rows.
#include "gemm.cu"

constexpr int WIDE_M = 128, WIDE_N = 256, WIDE_K = 64, WIDE_STAGES = 4;
constexpr u32 WIDE_STAGE_BYTES = 49152;
// Four stages, and room to begin at a multiple of 1024 bytes.
constexpr u32 WIDE_SHARED = 4 * 49152 + 1024;

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
// A tile of rows of 64 halves (128 bytes) in the 128-byte swizzle: 8 rows are 1024 bytes.
__device__ __forceinline__ unsigned long long describe_tile(u32 address) {
  const unsigned long long start = (address & 0x3ffff) >> 4, stride = 1024 >> 4;
  return start | (1ull << 16) | (stride << 32) | (1ull << 62);
}

// d [64, 256] += A [64, 16] times the transposed B [256, 16].
__device__ __forceinline__ void multiply_wide(float (&d)[128], unsigned long long a, unsigned long long b) {
  asm volatile(
      "{\n"
      ".reg .pred adds;\n"
      "setp.eq.u32 adds, 0, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n256k16.f32.f16.f16 {"
      "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21,"
      "%22, %23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35, %36, %37, %38, %39, %40, %41,"
      "%42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61,"
      "%62, %63, %64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, %80, %81,"
      "%82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, %96, %97, %98, %99, %100,"
      "%101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111, %112, %113, %114, %115, %116,"
      "%117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127"
      "}, %128, %129, adds, 1, 1, 0, 0;\n"
      "}\n"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]),
        "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), "+f"(d[14]),
        "+f"(d[15]), "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), "+f"(d[21]),
        "+f"(d[22]), "+f"(d[23]), "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), "+f"(d[28]),
        "+f"(d[29]), "+f"(d[30]), "+f"(d[31]), "+f"(d[32]), "+f"(d[33]), "+f"(d[34]), "+f"(d[35]),
        "+f"(d[36]), "+f"(d[37]), "+f"(d[38]), "+f"(d[39]), "+f"(d[40]), "+f"(d[41]), "+f"(d[42]),
        "+f"(d[43]), "+f"(d[44]), "+f"(d[45]), "+f"(d[46]), "+f"(d[47]), "+f"(d[48]), "+f"(d[49]),
        "+f"(d[50]), "+f"(d[51]), "+f"(d[52]), "+f"(d[53]), "+f"(d[54]), "+f"(d[55]), "+f"(d[56]),
        "+f"(d[57]), "+f"(d[58]), "+f"(d[59]), "+f"(d[60]), "+f"(d[61]), "+f"(d[62]), "+f"(d[63]),
        "+f"(d[64]), "+f"(d[65]), "+f"(d[66]), "+f"(d[67]), "+f"(d[68]), "+f"(d[69]), "+f"(d[70]),
        "+f"(d[71]), "+f"(d[72]), "+f"(d[73]), "+f"(d[74]), "+f"(d[75]), "+f"(d[76]), "+f"(d[77]),
        "+f"(d[78]), "+f"(d[79]), "+f"(d[80]), "+f"(d[81]), "+f"(d[82]), "+f"(d[83]), "+f"(d[84]),
        "+f"(d[85]), "+f"(d[86]), "+f"(d[87]), "+f"(d[88]), "+f"(d[89]), "+f"(d[90]), "+f"(d[91]),
        "+f"(d[92]), "+f"(d[93]), "+f"(d[94]), "+f"(d[95]), "+f"(d[96]), "+f"(d[97]), "+f"(d[98]),
        "+f"(d[99]), "+f"(d[100]), "+f"(d[101]), "+f"(d[102]), "+f"(d[103]), "+f"(d[104]), "+f"(d[105]),
        "+f"(d[106]), "+f"(d[107]), "+f"(d[108]), "+f"(d[109]), "+f"(d[110]), "+f"(d[111]), "+f"(d[112]),
        "+f"(d[113]), "+f"(d[114]), "+f"(d[115]), "+f"(d[116]), "+f"(d[117]), "+f"(d[118]), "+f"(d[119]),
        "+f"(d[120]), "+f"(d[121]), "+f"(d[122]), "+f"(d[123]), "+f"(d[124]), "+f"(d[125]), "+f"(d[126]),
        "+f"(d[127])
      : "l"(a), "l"(b));
}
#endif

template <typename Store>
__device__ __forceinline__ void multiply_wide_tile(const __half* x, const __half* weight, const Step* step, u32 K,
                                                   u32 rows_of_weight, u32 F, Store store) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ uint4 shared_memory[];
  begin_kernel();
  const u32 M = step->row_count;
  const u32 base = (shared_address(shared_memory) + 1023) & ~1023u;
  const u32 warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const u32 first_row = blockIdx.x * WIDE_M, first_output = blockIdx.y * WIDE_N;

  // Weight row of row `r` of the tile; `rows_of_weight` and beyond are zeros.
  auto weight_row = [&](u32 r) -> u32 {
    if constexpr (!Store::joins) {
      return first_output + r;
    } else {
      const u32 f = first_output / 2 + (r / 16) * 8 + r % 8;
      if (f >= F) return rows_of_weight;
      return r % 16 < 8 ? f : F + f;
    }
  };
  // A thread copies piece `threadIdx.x % 8` of every 32nd row: 4 rows of x, 8 of the weight.
  const u32 piece = threadIdx.x % 8, row_of_thread = threadIdx.x / 8;
  const u32 swizzled = (piece ^ (row_of_thread & 7)) * 16;
  u32 offsets[12];
  u32 valid = 0;
#pragma unroll
  for (u32 i = 0; i < 12; i++) {
    const u32 row = row_of_thread + (i < 4 ? i : i - 4) * 32;
    const u32 global_row = i < 4 ? first_row + row : weight_row(row);
    const bool is_valid = global_row < (i < 4 ? M : rows_of_weight);
    valid |= (u32)is_valid << i;
    offsets[i] = is_valid ? global_row : 0;
  }
  const u32 steps = (K + WIDE_K - 1) / WIDE_K;
  auto fetch = [&](u32 k) {
    const u32 target = base + (k % WIDE_STAGES) * WIDE_STAGE_BYTES + row_of_thread * 128 + swizzled;
    const u32 column = k * WIDE_K + piece * 8;
#pragma unroll
    for (u32 i = 0; i < 12; i++) {
      const bool is_valid = (valid >> i & 1) && column < K;
      const __half* source = (i < 4 ? x : weight) + (is_valid ? (size_t)offsets[i] * K + column : 0);
      copy_async(target + i * 4096, source, is_valid);
    }
  };
#pragma unroll
  for (u32 k = 0; k < WIDE_STAGES - 2; k++) {
    if (k < steps) fetch(k);
    commit_copies();
  }
  float d[128];
#pragma unroll
  for (int i = 0; i < 128; i++) d[i] = 0;
  for (u32 k = 0; k < steps; k++) {
    wait_for_copies<WIDE_STAGES - 3>();
    // Copies are ordinary writes; wgmma reads by another way.
    fence_async_proxy();
    __syncthreads();
    // The stage of step k - 2: all have waited for its products, below, before this barrier.
    if (k + WIDE_STAGES - 2 < steps) fetch(k + WIDE_STAGES - 2);
    commit_copies();
    const u32 stage = base + (k % WIDE_STAGES) * WIDE_STAGE_BYTES;
    const unsigned long long a = describe_tile(stage + warp / 4 * 8192), b = describe_tile(stage + 16384);
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#pragma unroll
    for (int i = 0; i < WIDE_K / 16; i++) multiply_wide(d, a + i * 2, b + i * 2);
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
    asm volatile("wgmma.wait_group.sync.aligned 1;" ::: "memory");
  }
  asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
#pragma unroll
  for (int half = 0; half < 2; half++) {
    const u32 row = first_row + warp * 16 + half * 8 + lane / 4;
    if (row >= M) continue;
#pragma unroll
    for (int j = 0; j < 32; j++) {
      const int i = j * 4 + half * 2;
      if constexpr (Store::joins) {
        if (j % 2 == 0)
          store.pair(row, first_output / 2 + j / 2 * 8 + lane % 4 * 2, d[i], d[i + 1], d[i + 4], d[i + 5]);
      } else {
        store.pair(row, first_output + j * 8 + lane % 4 * 2, d[i], d[i + 1]);
      }
    }
  }
#endif
}

KERNEL_DENSE(gemm_wide__store_f32, 256, 1, WIDE_SHARED)
(const __half* weight, const Step* step, const __half* x, float* y, u32 K, u32 N) {
  multiply_wide_tile(x, weight, step, K, N, 0, StoreF32{y, N});
}

KERNEL_DENSE(gemm_wide__store_f16_bias, 256, 1, WIDE_SHARED)
(const __half* weight, const Step* step, const __half* x, const float* bias, __half* y, u32 K, u32 N) {
  multiply_wide_tile(x, weight, step, K, N, 0, StoreF16Bias{y, bias, N});
}

KERNEL_DENSE(gemm_wide__store_swiglu, 256, 1, WIDE_SHARED)
(const __half* weight, const Step* step, const __half* x, __half* y, u32 K, u32 N) {
  multiply_wide_tile(x, weight, step, K, N, N / 2, StoreSwiglu{y, N / 2});
}
