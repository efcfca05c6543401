// Products of a decode step: stages of the ring times activations, tile by tile.
#pragma once
#include "step-mail.cuh"
#include "step-ring.cuh"

#if __CUDA_ARCH__ >= 900

// Activations in shared memory, as integers: the values of a unit (256 along K) in 16 bits by its largest magnitude, of which the
// high and the low eight are two columns of an mma of bytes. A piece's sums are exact until they become f32; what rounding
// takes of a value is about 2^-16 of the unit's largest at most.
//
// values: [two pieces along K][quarter][column, digit]: eight bytes of a lane of the one piece, eight of the other, each
// its even values and then its odd ones, as nibbles lie in a word.
// scales: [unit][column] f32: what a digit times a byte of a weight (`signed_bytes`) counts.
template <u32 COLUMNS>
struct Activations {
  uint4* values;
  __device__ __forceinline__ float* scales() const { return reinterpret_cast<float*>(values + MOST_K / 8 * COLUMNS); }

  // By a warp for a unit: lane i has its values from 8 i on, or zeros behind a row's end.
  __device__ __forceinline__ void store(u32 eight, u32 column, const float v[8]) const {
    float most = 1e-30f;
#pragma unroll
    for (u32 j = 0; j < 8; j++) most = fmaxf(most, fabsf(v[j]));
    // Not negative: as integers they have the same order.
    most = __uint_as_float(__reduce_max_sync(~0u, __float_as_uint(most)));
    const float inverse = __fdividef(MOST_DIGITS, most);
    // An f32 of 1.5 * 2^23 counts ones. With half a high digit more, the high byte is rounded and the low one from 0 on.
    u32 bits[8];
#pragma unroll
    for (u32 j = 0; j < 8; j++) bits[j] = __float_as_uint(fmaf(v[j], inverse, 12582912.0f + 128));
    uint4* const pair = values + ((eight / 8 * 4 + eight % 4) * COLUMNS + column) * 2;
    uint2* const place = reinterpret_cast<uint2*>(pair) + eight / 4 % 2;
    uint2 high, low;
    split_digits(high.x, low.x, bits[0], bits[2], bits[4], bits[6]);
    split_digits(high.y, low.y, bits[1], bits[3], bits[5], bits[7]);
    place[0] = high;
    place[2] = low;
    if (eight % 32 == 0) scales()[eight / 32 * COLUMNS + column] = most * (-1 / (MOST_DIGITS * 16));
  }

 private:
  static constexpr float MOST_DIGITS = 127 * 256;
  static __device__ __forceinline__ void split_digits(u32& high, u32& low, u32 a, u32 b, u32 c, u32 d) {
    const u32 first = __byte_perm(a, b, 0x5140), second = __byte_perm(c, d, 0x5140);
    high = __byte_perm(first, second, 0x7632);
    low = __byte_perm(first, second, 0x5410) ^ 0x80808080u;
  }
};

// Whether a warp has a unit of a row of K values whose octet `eight` is a lane's.
__device__ __forceinline__ bool has_unit(u32 eight, u32 K) { return eight / 32 < (K + 255) / 256; }

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
  for (u32 eight = threadIdx.x; eight < (octets + 31) / 32 * 32; eight += STEP_THREADS) {
    uint4 v[COLUMNS] = {};
    if (eight < octets) {
      u32 is_missing;
      do {
        is_missing = 0;
#pragma unroll
        for (u32 column = 0; column < COLUMNS; column++)
          v[column] = look_at_vector(source + min(column, columns - 1) * octets + eight);
#pragma unroll
        for (u32 column = 0; column < COLUMNS; column++) is_missing |= octet_is_missing(v[column], seal);
      } while (is_missing);
    }
    __syncwarp();
#pragma unroll
    for (u32 column = 0; column < COLUMNS; column++) {
      float out[8];
      floats_of_halves(out, opened_octet(v[column]));
      x.store(eight, column, out);
    }
  }
}

// Of a unit of two octets of a warp, a lane's vector of each: half of its nibbles, or a row's scales of pieces 0, 4, 1, 5, ...
struct UnitVectors {
  uint4 of[2];
};

// Four nibbles n of a word, the upper of each byte, as 16 (7 - n) in signed bytes: the zero point costs nothing.
// By name, as the compiler makes two instructions of it.
__device__ __forceinline__ u32 signed_bytes(u32 word) {
  u32 bytes;
  asm("lop3.b32 %0, %1, 0xf0f0f0f0, 0x70707070, 0x6a;" : "=r"(bytes) : "r"(word));
  return bytes;
}

// A half of a unit: adds to the sums of a lane's two rows in its column. All products come before the first that is used.
template <u32 COLUMNS>
__device__ __forceinline__ void multiply_half(float sum[2], const UnitVectors& nibbles, const UnitVectors& scales, u32 half,
                                              u32 values) {
  int products[4][4];
#pragma unroll
  for (u32 i = 0; i < 4; i++) {
    const uint4 pair = load_shared_vector(values + (half * 2 + i / 2) * 128 * COLUMNS);
    const u32 w0 = word_of(nibbles.of[0], i), w1 = word_of(nibbles.of[1], i);
    multiply_bytes(products[i], signed_bytes(w0 << 4), signed_bytes(w1 << 4), signed_bytes(w0), signed_bytes(w1),
                   i % 2 == 0 ? pair.x : pair.z, i % 2 == 0 ? pair.y : pair.w);
  }
#pragma unroll
  for (u32 i = 0; i < 4; i++) {
#pragma unroll
    for (u32 octet = 0; octet < 2; octet++) {
      const u32 word = word_of(scales.of[octet], i);
      const float2 both = __half22float2(*reinterpret_cast<const __half2*>(&word));
      const int digits = products[i][octet * 2] * 256 + products[i][octet * 2 + 1];
      sum[octet] += (half == 0 ? both.x : both.y) * (float)digits;
    }
  }
}

// The sums of tiles in shared memory, by the warp that adds them up, by the warp that has multiplied, by row and column; and the
// barriers that say which are there and which have been added up. By its address: to find a variable's takes longer.
template <u32 COLUMNS>
struct TileSums {
  u32 base;
  static constexpr u32 WARP = 16 * COLUMNS * 4, VALUES = STEP_ADDERS * STEP_WARPS * WARP, BYTES = VALUES + STEP_ADDERS * 16;

  __device__ __forceinline__ u32 full(u32 buffer) const { return base + VALUES + buffer * 16; }
  __device__ __forceinline__ u32 empty(u32 buffer) const { return full(buffer) + 8; }
  __device__ __forceinline__ u32 place(u32 buffer, u32 warp, u32 row, u32 column) const {
    return base + (buffer * STEP_WARPS + warp) * WARP + (row * COLUMNS + column) * 4;
  }

  __device__ __forceinline__ void initialize() const {
    for (u32 i = 0; i < STEP_ADDERS; i++) {
      mbarrier_init(full(i), STEP_WARPS);
      mbarrier_init(empty(i), 1);
    }
  }

  // By a warp, for the tile that is `turn` in the block's sequence: a lane's two rows of its column.
  __device__ __forceinline__ void put(u32 turn, const float sum[2]) const {
    const u32 warp = threadIdx.x / 32, lane = threadIdx.x % 32, column = lane % 4, buffer = turn % STEP_ADDERS;
    mbarrier_wait(empty(buffer), turn / STEP_ADDERS % 2 ^ 1);
    if (column < COLUMNS) {
      store_shared_word(place(buffer, warp, lane / 4, column), __float_as_uint(sum[0]));
      store_shared_word(place(buffer, warp, lane / 4 + 8, column), __float_as_uint(sum[1]));
    }
    __syncwarp();
    if (lane == 0) mbarrier_arrive(full(buffer));
  }

  // By a warp. `store` may fetch what it needs before it asks for a total, which waits for the tile's sums.
  template <typename Store>
  __device__ __forceinline__ void add(u32 tile, u32 turn, Store store) const {
    const u32 lane = threadIdx.x % 32, buffer = turn % STEP_ADDERS, parity = turn / STEP_ADDERS % 2;
#pragma unroll 1
    for (u32 index = lane; index < 16 * COLUMNS; index += 32)
      store(tile, index, [&](u32 row, u32 column) {
        mbarrier_wait(full(buffer), parity);
        float total = 0;
#pragma unroll
        for (u32 i = 0; i < STEP_WARPS; i++) total += __uint_as_float(load_shared_word(place(buffer, i, row, column)));
        return total;
      });
    // Lanes without a total have not waited.
    __syncwarp();
    mbarrier_wait(full(buffer), parity);
    __syncwarp();
    if (lane == 0) mbarrier_arrive(empty(buffer));
  }
};

// What a warp takes of a stage. The unit at a row's end has fewer pieces, without ANY_REST four. What is read of the other half
// then is any bytes, which have no scales.
template <bool ANY_REST>
__device__ __forceinline__ UnitVectors load_nibbles(u32 slot, u32 inside, u32 index, const PackedRows& rows, u32 lane,
                                                    u32 half) {
  const u32 weight = slot + inside * 1024;
  UnitVectors nibbles;
  if (!ANY_REST || index < rows.full || rows.rest == 4) {
#pragma unroll
    for (u32 octet = 0; octet < 2; octet++)
      nibbles.of[octet] = load_shared_vector(weight + octet * STAGE_OCTET + half * 512 + lane * 16);
    return nibbles;
  }
  const u32 row = lane / 4 * rows.rest;
#pragma unroll
  for (u32 octet = 0; octet < 2; octet++) {
    u32 words[4];
#pragma unroll
    for (u32 i = 0; i < 4; i++)
      words[i] = half * 4 + i < rows.rest
                     ? load_shared_word(weight + octet * STAGE_OCTET + (row + half * 4 + i) * 16 + lane % 4 * 4)
                     : 0;
    nibbles.of[octet] = make_uint4(words[0], words[1], words[2], words[3]);
  }
  return nibbles;
}

// Bits that are there when all that was read of nibbles is.
template <bool ANY_REST>
__device__ __forceinline__ u32 any_of(const UnitVectors& nibbles) {
  u32 words = nibbles.of[0].w | nibbles.of[1].w;
  // Each word was read by itself, those of the second half last.
  if (ANY_REST)
#pragma unroll
    for (u32 i = 0; i < 3; i++) words |= word_of(nibbles.of[0], i) | word_of(nibbles.of[1], i);
  return words;
}

template <bool ANY_REST>
__device__ __forceinline__ UnitVectors load_scales(u32 slot, u32 inside, u32 index, const PackedRows& rows, u32 lane) {
  const u32 group = lane / 4, scales = slot + 2 * STAGE_OCTET + inside * 128;
  UnitVectors unit;
  if (index < rows.full) {
#pragma unroll
    for (u32 octet = 0; octet < 2; octet++)
      unit.of[octet] = load_shared_vector(scales + octet * STAGE_SCALES + group * 16);
    return unit;
  }
  const u32 row = group * (ANY_REST ? rows.rest : 4);
#pragma unroll
  for (u32 octet = 0; octet < 2; octet++) {
    u32 pairs[4];
#pragma unroll
    for (u32 i = 0; i < 4; i++) {
      const u32 place = scales + octet * STAGE_SCALES + (row + i) * 2;
      const __half low = !ANY_REST || i < rows.rest ? load_shared_half(place) : __ushort_as_half(0);
      const __half high = ANY_REST && i + 4 < rows.rest ? load_shared_half(place + 8) : __ushort_as_half(0);
      pairs[i] = bits_of(__halves2half2(low, high));
    }
    unit.of[octet] = make_uint4(pairs[0], pairs[1], pairs[2], pairs[3]);
  }
  return unit;
}

// What the warps that multiply know of the block's shared memory: addresses.
template <u32 COLUMNS, u32 STAGES>
struct StepPlaces {
  Ring<STAGES> ring;
  u32 values, scales;
  TileSums<COLUMNS> sums;
};

// Multiplies the block's tiles of a product of rows of K values. A function of its own, as what the other phases of a step
// keep in registers would be spilled inside of its loops. `zero` is 0, which the compiler must not know.
template <bool ANY_REST, u32 COLUMNS, u32 STAGES>
__device__ __noinline__ Course<STAGES> multiply_tiles(StepPlaces<COLUMNS, STAGES> places, Course<STAGES> course, u32 K,
                                                      u32 tiles, u32 zero) {
  const u32 lane = threadIdx.x % 32, inside = threadIdx.x / 32 % STAGE_UNITS;
  const u32 digit = min(lane / 4, 2 * COLUMNS - 1), column = min(lane % 4, COLUMNS - 1);
  const PackedRows rows(K);
  const u32 stages = (rows.units + STAGE_UNITS - 1) / STAGE_UNITS;
  for (u32 tile = course.first; tile < tiles; tile += gridDim.x, course.turn++, course.stages -= stages) {
    float sum[2] = {};
    while (course.stages < stages) {
      const u32 index = course.stages * STAGE_UNITS + inside, slot = places.ring.stage(course.slot);
      // Who has no unit multiplies what it finds, and leaves it out.
      const u32 unit = index < rows.units ? index : 0;
      const u32 values = places.values + ((unit * 16 + lane % 4) * 2 * COLUMNS + digit) * 16;
      mbarrier_wait(places.ring.full_at(course.slot), course.parity);
      const UnitVectors scales = load_scales<ANY_REST>(slot, inside, index, rows, lane);
      const UnitVectors first = load_nibbles<ANY_REST>(slot, inside, index, rows, lane, 0);
      const UnitVectors second = load_nibbles<ANY_REST>(slot, inside, index, rows, lane, 1);
      float part[2] = {};
      multiply_half<COLUMNS>(part, first, scales, 0, values);
      // The producer may fill the stage again once its values are in registers. Reads of shared memory need not be over when
      // a barrier behind them is told: some rows had weights of the next round. So what is told depends on what was read.
      const u32 read = any_of<ANY_REST>(first) | any_of<ANY_REST>(second) | scales.of[0].w | scales.of[1].w;
      __syncwarp();
      if (lane == 0) mbarrier_arrive(places.ring.empty_at(course.slot) + (read & zero));
      multiply_half<COLUMNS>(part, second, scales, 1, values);
      const float scale = __uint_as_float(load_shared_word(places.scales + (unit * COLUMNS + column) * 4));
      if (index < rows.units) {
        sum[0] += part[0] * scale;
        sum[1] += part[1] * scale;
      }
      course.pass(2);
    }
    places.sums.put(course.turn, sum);
  }
  course.end_product(tiles);
  return course;
}

// Adds up the same tiles, by the warps for that, each with a buffer of its own. `store(tile, index, total)` is called by a
// warp's lanes for 16 * COLUMNS indices of each tile; `total(row, column)` adds what the other warps have.
template <u32 COLUMNS, u32 STAGES, typename Store>
__device__ __forceinline__ void add_tiles(Course<STAGES>& course, const StepProduct& product,
                                          const TileSums<COLUMNS>& sums, Store store) {
  const u32 adder = threadIdx.x / 32 - STEP_WARPS - 1;
  for (u32 tile = course.first; tile < product.tiles; tile += gridDim.x, course.turn++)
    if (course.turn % STEP_ADDERS == adder) sums.add(tile, course.turn, store);
  course.end_product(product.tiles);
}

#endif
