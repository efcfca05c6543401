// Products of a decode step: stages of the ring times activations, tile by tile.
#pragma once
#include "step-mail.cuh"
#include "step-ring.cuh"

#if __CUDA_ARCH__ >= 900

// Activations in shared memory. A weight is used as it comes, without a scale or its zero point: a nibble n in the low
// bits of an f16 is n * 2^-24, one four bits further up n * 2^-20. So what is multiplied by the latter lies here divided
// by 16, a piece's scale is applied to its sum, and the zero point is made up for by one more product: of the scales with
// -7 times the sum of each piece's activations.
//
// values: [eight values along K][column] as the pairs (0, 4), (2, 6), and (1, 5), (3, 7) over 16.
// offsets: [unit][quarter][column]: -7 / 32 times the sums of pieces `quarter` and `quarter` + 4, and what f16 lost of
// that.
template <u32 COLUMNS>
struct Activations {
  uint4* values;
  __device__ __forceinline__ uint2* offsets() const { return reinterpret_cast<uint2*>(values + MOST_K / 8 * COLUMNS); }

  // Four neighbouring lanes store a piece. All that end in the same unit may do so; `finish` follows.
  __device__ __forceinline__ void store(u32 eight, u32 column, const float v[8]) const {
    const u32 words[4] = {pack_halves(v[0], v[4]), pack_halves(v[2], v[6]), pack_halves(v[1] * 0.0625f, v[5] * 0.0625f),
                          pack_halves(v[3] * 0.0625f, v[7] * 0.0625f)};
    values[eight * COLUMNS + column] = make_uint4(words[0], words[1], words[2], words[3]);
    const float2 a = floats_of(words[0]), b = floats_of(words[1]), c = floats_of(words[2]), d = floats_of(words[3]);
    float sum = a.x + a.y + b.x + b.y + 16 * (c.x + c.y + d.x + d.y);
    const u32 quad = 0xfu << (threadIdx.x & 28);
    sum += __shfl_xor_sync(quad, sum, 1);
    sum += __shfl_xor_sync(quad, sum, 2);
    if (eight % 4 == 0) store_offset(eight / 4, column, sum * (-7.0f / 32));
  }

  // Rows end inside a unit: the rest of it is zero.
  __device__ __forceinline__ void finish(u32 K) const {
    const u32 pieces = K / 32, missing = (8 - pieces % 8) % 8;
    for (u32 i = threadIdx.x; i < missing * 4 * COLUMNS; i += STEP_THREADS) {
      values[pieces * 4 * COLUMNS + i] = make_uint4(0, 0, 0, 0);
      if (i < missing * COLUMNS) store_offset(pieces + i / COLUMNS, i % COLUMNS, 0);
    }
  }

 private:
  static __device__ __forceinline__ float2 floats_of(u32 word) {
    return __half22float2(*reinterpret_cast<const __half2*>(&word));
  }
  __device__ __forceinline__ void store_offset(u32 piece, u32 column, float value) const {
    const __half high = to_half(value), low = to_half(value - __half2float(high));
    __half* const place =
        reinterpret_cast<__half*>(offsets() + (piece / 8 * 4 + piece % 4) * COLUMNS + column) + piece % 8 / 4;
    place[0] = high;
    place[2] = low;
  }
};

__device__ __forceinline__ void floats_of_halves(float out[8], uint4 v) {
#pragma unroll
  for (u32 i = 0; i < 4; i++) {
    const u32 word = word_of(v, i);
    const float2 pair = __half22float2(*reinterpret_cast<const __half2*>(&word));
    out[i * 2] = pair.x, out[i * 2 + 1] = pair.y;
  }
}

__device__ __forceinline__ uint4 octet_of(const float v[8]) {
  return make_uint4(pack_halves(v[0], v[1]), pack_halves(v[2], v[3]), pack_halves(v[4], v[5]), pack_halves(v[6], v[7]));
}

// Rows [columns, K] that are f16 already, as other blocks send them.
template <u32 COLUMNS>
__device__ __forceinline__ void receive_activations(const Activations<COLUMNS>& x, const uint4* source, u32 K, u32 columns,
                                                    u32 seal) {
  const u32 octets = K / 8;
  // One at a time and column: more would be in fewer looks, but what has no register then is spilled, which costs more.
#pragma unroll 1
  for (u32 eight = threadIdx.x; eight < octets; eight += STEP_THREADS) {
    uint4 v[COLUMNS];
    u32 is_missing;
    do {
      is_missing = 0;
#pragma unroll
      for (u32 column = 0; column < COLUMNS; column++)
        v[column] = look_at_vector(source + min(column, columns - 1) * octets + eight);
#pragma unroll
      for (u32 column = 0; column < COLUMNS; column++) is_missing |= octet_is_missing(v[column], seal);
    } while (is_missing);
#pragma unroll
    for (u32 column = 0; column < COLUMNS; column++) {
      float out[8];
      floats_of_halves(out, opened_octet(v[column]));
      x.store(eight, column, out);
    }
  }
  x.finish(K);
}

// A unit of two octets of a warp: half of its nibbles; each row's scales of the pieces 0, 4, 1, 5, ..., and those of pieces
// `quarter` and `quarter` + 4.
struct UnitNibbles {
  uint4 of[2];
};
struct UnitScales {
  uint4 of[2];
  u32 pair[2];
};

// Values of a unit's activations. Lanes without a column keep the zeros that they begin with.
constexpr u32 VALUES_AT_ONCE = 4;

__device__ __forceinline__ void load_shared_vector_if(uint4& value, u32 source, u32 is_wanted) {
  asm volatile(
      "{\n"
      ".reg .pred wanted;\n"
      "setp.ne.u32 wanted, %5, 0;\n"
      "@wanted ld.shared.v4.u32 {%0,%1,%2,%3}, [%4];\n"
      "}"
      : "+r"(value.x), "+r"(value.y), "+r"(value.z), "+r"(value.w)
      : "r"(source), "r"(is_wanted)
      : "memory");
}

// A half of a unit.
template <u32 COLUMNS>
__device__ __forceinline__ void multiply_half(float sum[4], const UnitNibbles& nibbles, const UnitScales& scales, u32 half,
                                              u32 values, u32 has_column, uint4 (&held)[VALUES_AT_ONCE]) {
#pragma unroll
  for (u32 i = 0; i < 4; i++) {
    uint4& v = held[i % VALUES_AT_ONCE];
    load_shared_vector_if(v, values + (half * 4 + i) * 64 * COLUMNS, has_column);
    const u32 w0 = word_of(nibbles.of[0], i), w1 = word_of(nibbles.of[1], i);
    float d[4] = {};
    mma_free(d, w0 & 0x000f000fu, w1 & 0x000f000fu, (w0 >> 8) & 0x000f000fu, (w1 >> 8) & 0x000f000fu, v.x, v.y);
    mma_free(d, w0 & 0x00f000f0u, w1 & 0x00f000f0u, (w0 >> 8) & 0x00f000f0u, (w1 >> 8) & 0x00f000f0u, v.z, v.w);
    const u32 pair0 = word_of(scales.of[0], i), pair1 = word_of(scales.of[1], i);
    const float2 both0 = __half22float2(*reinterpret_cast<const __half2*>(&pair0));
    const float2 both1 = __half22float2(*reinterpret_cast<const __half2*>(&pair1));
    const float scale0 = half == 0 ? both0.x : both0.y, scale1 = half == 0 ? both1.x : both1.y;
    sum[0] += scale0 * d[0];
    sum[2] += scale1 * d[2];
    if (COLUMNS > 1) {
      sum[1] += scale0 * d[1];
      sum[3] += scale1 * d[3];
    }
  }
}

// The sums of tiles, by warp, row and column, and the barriers that say which are there and which have been added up.
template <u32 COLUMNS>
struct TileSums {
  float values[SUM_BUFFERS][STEP_WARPS][16 * COLUMNS];
  unsigned long long full[SUM_BUFFERS], empty[SUM_BUFFERS];

  __device__ __forceinline__ void initialize() {
    for (u32 i = 0; i < SUM_BUFFERS; i++) {
      mbarrier_init(shared_address(full + i), STEP_WARPS);
      mbarrier_init(shared_address(empty + i), 1);
    }
  }

  // By a warp, for the tile that is `turn` in the block's sequence.
  __device__ __forceinline__ void put(u32 turn, const float sum[4], const float offset[4], u32 warp) {
    const u32 lane = threadIdx.x % 32, group = lane / 4, quarter = lane % 4, buffer = turn % SUM_BUFFERS;
    mbarrier_wait(shared_address(empty + buffer), turn / SUM_BUFFERS % 2 ^ 1);
    float* const mine = values[buffer][warp];
#pragma unroll
    for (u32 i = 0; i < 2; i++) {
      const u32 column = quarter * 2 + i;
      if (column >= COLUMNS) break;
      mine[group * COLUMNS + column] = sum[i] * 16777216.0f + offset[i] * 32;
      mine[(group + 8) * COLUMNS + column] = sum[i + 2] * 16777216.0f + offset[i + 2] * 32;
    }
    __syncwarp();
    if (lane == 0) mbarrier_arrive(shared_address(full + buffer));
  }

  // By a warp. `store` may fetch what it needs before it asks for a total, which waits for the tile's sums.
  template <typename Store>
  __device__ __forceinline__ void add(u32 tile, u32 turn, Store store) {
    const u32 lane = threadIdx.x % 32, buffer = turn % SUM_BUFFERS;
    const u32 is_there = shared_address(full + buffer), parity = turn / SUM_BUFFERS % 2;
#pragma unroll 1
    for (u32 index = lane; index < 16 * COLUMNS; index += 32)
      store(tile, index, [&](u32 row, u32 column) {
        mbarrier_wait(is_there, parity);
        float total = 0;
#pragma unroll
        for (u32 i = 0; i < STEP_WARPS; i++) total += values[buffer][i][row * COLUMNS + column];
        return total;
      });
    // Lanes without a total have not waited.
    __syncwarp();
    mbarrier_wait(is_there, parity);
    __syncwarp();
    if (lane == 0) mbarrier_arrive(shared_address(empty + buffer));
  }
};

// What a warp takes of a stage.
__device__ __forceinline__ UnitNibbles load_nibbles(u32 slot, u32 inside, u32 index, const PackedRows& rows, u32 lane,
                                                    u32 half) {
  const u32 weight = slot + inside * 1024;
  UnitNibbles nibbles;
  if (index < rows.full) {
#pragma unroll
    for (u32 octet = 0; octet < 2; octet++)
      nibbles.of[octet] = load_shared_vector(weight + octet * STAGE_OCTET + half * 512 + lane * 16);
    return nibbles;
  }
  const u32 row = lane / 4 * rows.rest, there = index < rows.units ? rows.rest : 0;
#pragma unroll
  for (u32 octet = 0; octet < 2; octet++) {
    u32 words[4];
#pragma unroll
    for (u32 i = 0; i < 4; i++)
      words[i] = half * 4 + i < there
                     ? load_shared_word(weight + octet * STAGE_OCTET + (row + half * 4 + i) * 16 + lane % 4 * 4)
                     : 0;
    nibbles.of[octet] = make_uint4(words[0], words[1], words[2], words[3]);
  }
  return nibbles;
}

__device__ __forceinline__ UnitScales load_scales(u32 slot, u32 inside, u32 index, const PackedRows& rows, u32 lane) {
  const u32 group = lane / 4, scales = slot + 2 * STAGE_OCTET + inside * 128;
  UnitScales unit;
  if (index < rows.full) {
#pragma unroll
    for (u32 octet = 0; octet < 2; octet++) {
      unit.of[octet] = load_shared_vector(scales + octet * STAGE_SCALES + group * 16);
      unit.pair[octet] = load_shared_word(scales + octet * STAGE_SCALES + lane * 4);
    }
    return unit;
  }
  const u32 row = group * rows.rest, there = index < rows.units ? rows.rest : 0;
#pragma unroll
  for (u32 octet = 0; octet < 2; octet++) {
    u32 pairs[4];
#pragma unroll
    for (u32 i = 0; i < 4; i++) {
      const u32 place = scales + octet * STAGE_SCALES + (row + i) * 2;
      const __half low = i < there ? load_shared_half(place) : __ushort_as_half(0);
      const __half high = i + 4 < there ? load_shared_half(place + 8) : __ushort_as_half(0);
      pairs[i] = bits_of(__halves2half2(low, high));
    }
    unit.of[octet] = make_uint4(pairs[0], pairs[1], pairs[2], pairs[3]);
    unit.pair[octet] = word_of(unit.of[octet], lane % 4);
  }
  return unit;
}

// Multiplies the block's tiles of a product.
template <u32 COLUMNS, u32 STAGES>
__device__ __forceinline__ void multiply_tiles(const Ring<STAGES>& ring, Course<STAGES>& course, const StepProduct& product,
                                               const Activations<COLUMNS>& x, TileSums<COLUMNS>& sums) {
  const u32 warp = threadIdx.x / 32, lane = threadIdx.x % 32, inside = warp % STAGE_UNITS;
  const PackedRows rows(product.K);
  const u32 stages = (rows.units + STAGE_UNITS - 1) / STAGE_UNITS;
  uint4 held[VALUES_AT_ONCE];
#pragma unroll
  for (u32 i = 0; i < VALUES_AT_ONCE; i++) held[i] = make_uint4(0, 0, 0, 0);
  for (u32 tile = course.first; tile < product.tiles; tile += gridDim.x, course.turn++, course.stages -= stages) {
    float sum[4] = {}, offset[4] = {};
    while (course.stages < stages) {
      const u32 index = course.stages * STAGE_UNITS + inside, slot = ring.stage(course.slot);
      const u32 place = (index * 32 + lane % 4) * COLUMNS + lane / 4;
      const u32 has_column = lane / 4 < COLUMNS && index < rows.units;
      mbarrier_wait(ring.full_at(course.slot), course.parity);
      const UnitScales scales = load_scales(slot, inside, index, rows, lane);
      // A half at a time, which leaves registers for everything else.
      multiply_half<COLUMNS>(sum, load_nibbles(slot, inside, index, rows, lane, 0), scales, 0,
                             shared_address(x.values) + place * 16, has_column, held);
      const UnitNibbles nibbles = load_nibbles(slot, inside, index, rows, lane, 1);
      // The producer may fill the stage again once the values are in registers. Its copies are not ordered behind ordinary
      // reads, which may still wait when the barrier is told: without the fence, some rows had weights of the next round.
      fence_async_proxy();
      __syncwarp();
      if (lane == 0) mbarrier_arrive(ring.empty_at(course.slot));
      multiply_half<COLUMNS>(sum, nibbles, scales, 1, shared_address(x.values) + place * 16, has_column, held);
      uint2 v = make_uint2(0, 0);
      if (has_column) v = x.offsets()[(index * 4 + lane % 4) * COLUMNS + lane / 4];
      mma_free(offset, scales.pair[0], scales.pair[1], scales.pair[0], scales.pair[1], v.x, v.y);
      course.pass(2);
    }
    sums.put(course.turn, sum, offset, warp);
  }
  course.end_product(product.tiles);
}

// Adds up the same tiles, by the warps for that. `store(tile, index, total)` is called by a warp's lanes for 16 * COLUMNS
// indices of each tile; `total(row, column)` adds what the other warps have.
template <u32 COLUMNS, u32 STAGES, typename Store>
__device__ __forceinline__ void add_tiles(Course<STAGES>& course, const StepProduct& product, TileSums<COLUMNS>& sums,
                                          Store store) {
  const u32 adder = threadIdx.x / 32 - STEP_WARPS - 1;
  for (u32 tile = course.first; tile < product.tiles; tile += gridDim.x, course.turn++)
    if (course.turn % STEP_ADDERS == adder) sums.add(tile, course.turn, store);
  course.end_product(product.tiles);
}

#endif
