// Products of a decode step: stages of the ring times activations, tile by tile.
#pragma once
#include "step-mail.cuh"
#include "step-ring.cuh"

#if __CUDA_ARCH__ >= 900

// Activations in shared memory, as integers: the values of a unit (256 along K) in 16 bits by its largest magnitude, of which the
// high and the low eight are two columns of an mma of bytes. A piece's sums are exact until they become f32; what rounding
// takes of a value is about 2^-16 of the unit's largest at most.
//
// values: [two pieces along K][column, digit][quarter]: eight bytes of a lane of the one piece, eight of the other, each
// its even values and then its odd ones, as nibbles lie in a word. So eight lanes that follow each other read from all banks.
// scales: [unit][column] f32: what a digit times a byte of a weight (`signed_bytes`) counts.
template <u32 COLUMNS>
struct Activations {
  uint4* values;
  __device__ __forceinline__ float* scales() const {
    return reinterpret_cast<float*>(values + most_units(COLUMNS) * 32 * COLUMNS);
  }

  // By a warp for a unit: lane i has its values from 8 i on, or zeros behind a row's end.
  __device__ __forceinline__ void store(u32 eight, u32 column, const float v[8]) const {
    float most = 0;
#pragma unroll
    for (u32 j = 0; j < 8; j++) most = fmaxf(most, fabsf(v[j]));
    store(eight, column, v, most);
  }
  // `most`: their largest magnitude.
  __device__ __forceinline__ void store(u32 eight, u32 column, const float v[8], float most) const {
    // Not negative: as integers they have the same order.
    most = __uint_as_float(__reduce_max_sync(~0u, __float_as_uint(fmaxf(most, 1e-30f))));
    const float inverse = MOST_DIGITS * reciprocal_near(most);
    // An f32 of 1.5 * 2^23 counts ones. With half a high digit more, the high byte is rounded and the low one from 0 on.
    u32 bits[8];
#pragma unroll
    for (u32 j = 0; j < 8; j++) bits[j] = __float_as_uint(fmaf(v[j], inverse, 12582912.0f + 128));
    uint2* const place = reinterpret_cast<uint2*>(values + (eight / 8 * COLUMNS + column) * 8 + eight % 4) + eight / 4 % 2;
    uint2 high, low;
    split_digits(high.x, low.x, bits[0], bits[2], bits[4], bits[6]);
    split_digits(high.y, low.y, bits[1], bits[3], bits[5], bits[7]);
    place[0] = high;
    place[8] = low;
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

// The largest magnitude of eight, in fewer instructions than as f32.
__device__ __forceinline__ float largest_of_halves(uint4 v) {
  __half2 most = __float2half2_rn(0);
#pragma unroll
  for (u32 i = 0; i < 4; i++) {
    const u32 word = word_of(v, i);
    most = __hmax2(most, __habs2(*reinterpret_cast<const __half2*>(&word)));
  }
  const float2 both = __half22float2(most);
  return fmaxf(both.x, both.y);
}

__device__ __forceinline__ uint4 octet_of(const float v[8]) {
  return make_uint4(pack_halves(v[0], v[1]), pack_halves(v[2], v[3]), pack_halves(v[4], v[5]), pack_halves(v[6], v[7]));
}

// The block's part of rows [columns, K] that are f16 already, as other blocks send them.
template <u32 COLUMNS>
__device__ __forceinline__ void receive_activations(const Activations<COLUMNS>& x, const uint4* source, u32 K, bool is_shared,
                                                    u32 columns, u32 seal) {
  const RowPart part(K, is_shared);
  const u32 octets = K / 8;
  // One at a time and column: more would be in fewer looks, but what has no register then is spilled, which costs more.
#pragma unroll 1
  for (u32 eight = threadIdx.x; eight < part.count * 32; eight += STEP_THREADS) {
    uint4 v[COLUMNS] = {};
    if (eight < part.octets) {
      u32 is_missing;
      do {
        is_missing = 0;
#pragma unroll
        for (u32 column = 0; column < COLUMNS; column++)
          v[column] = look_at_vector(source + min(column, columns - 1) * octets + part.first_octet + eight);
#pragma unroll
        for (u32 column = 0; column < COLUMNS; column++) is_missing |= octet_is_missing(v[column], seal);
      } while (is_missing);
    }
    __syncwarp();
#pragma unroll
    for (u32 column = 0; column < COLUMNS; column++) {
      float out[8];
      const uint4 octet = opened_octet(v[column]);
      floats_of_halves(out, octet);
      x.store(eight, column, out, largest_of_halves(octet));
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

// The sums of tiles in shared memory, by the warp that adds them up, by the warp that has multiplied, by pair of rows and column;
// and the barriers that say which are there and which have been added up. By its address: to find a variable's takes longer.
// Rows that follow each other are a pair, but where a tile has eight gates and eight ups, each gate and its up.
template <u32 COLUMNS>
struct TileSums {
  u32 base;
  static constexpr u32 WARP = 16 * COLUMNS * 4, VALUES = STEP_ADDERS * STEP_WARPS * WARP, BYTES = VALUES + STEP_ADDERS * 16;

  __device__ __forceinline__ u32 full(u32 buffer) const { return base + VALUES + buffer * 16; }
  __device__ __forceinline__ u32 empty(u32 buffer) const { return full(buffer) + 8; }
  __device__ __forceinline__ u32 warp_place(u32 buffer, u32 warp) const { return base + (buffer * STEP_WARPS + warp) * WARP; }
  static __device__ __forceinline__ u32 place(u32 row, u32 column, bool is_gated) {
    const u32 pair = is_gated ? row % 8 : row / 2, second = is_gated ? row / 8 : row % 2;
    return ((pair * COLUMNS + column) * 2 + second) * 4;
  }

  __device__ __forceinline__ void initialize() const {
    for (u32 i = 0; i < STEP_ADDERS; i++) {
      mbarrier_init(full(i), STEP_WARPS);
      mbarrier_init(empty(i), 1);
    }
  }

  // Where a lane puts its sums of a product's tiles: in the first buffer, with that one's barriers.
  struct LanePlace {
    u32 sums, barriers;
  };
  // By a whole warp. What the compiler can compute again it does for each tile, but not what a shuffle brings.
  __device__ __forceinline__ LanePlace lane_place(bool is_gated) const {
    const u32 row = threadIdx.x % 32 / 4, column = threadIdx.x % 4, lane = threadIdx.x % 32;
    const u32 sums = warp_place(0, threadIdx.x / 32) + place(row, column, is_gated);
    return {__shfl_sync(~0u, sums, lane), __shfl_sync(~0u, full(0), lane)};
  }

  // By a warp, for the tile that is `turn` in the block's sequence: a lane's two rows of its column, 8 apart.
  static __device__ __forceinline__ void put(u32 turn, const float sum[2], bool is_gated, const LanePlace& place) {
    const u32 lane = threadIdx.x % 32, buffer = turn % STEP_ADDERS, full = place.barriers + buffer * 16, empty = full + 8;
    mbarrier_wait(empty, turn / STEP_ADDERS % 2 ^ 1);
    if (lane % 4 < COLUMNS) {
      const u32 first = place.sums + buffer * (STEP_WARPS * WARP);
      store_shared_word(first, __float_as_uint(sum[0]));
      store_shared_word(first + (is_gated ? 4 : 32 * COLUMNS), __float_as_uint(sum[1]));
    }
    __syncwarp();
    if (lane == 0) mbarrier_arrive(full);
  }

  // By a warp, of which eight lanes have a column: the totals of a lane's pair of rows. The buffer is free then.
  __device__ __forceinline__ float2 take(u32 turn) const {
    const u32 lane = threadIdx.x % 32, buffer = turn % STEP_ADDERS;
    // With fewer columns than four, all lanes have one, and a share of the warps' sums.
    constexpr u32 SHARES = 4 / COLUMNS;
    const u32 share = lane / 8 / COLUMNS;
    const u32 source = warp_place(buffer, share * (STEP_WARPS / SHARES)) + (lane % 8 * COLUMNS + lane / 8 % COLUMNS) * 8;
    mbarrier_wait(full(buffer), turn / STEP_ADDERS % 2);
    float2 totals[4] = {};
#pragma unroll
    for (u32 i = 0; i < STEP_WARPS / SHARES; i++) {
      const float2 sum = load_shared_float2(source + i * WARP);
      totals[i % 4].x += sum.x, totals[i % 4].y += sum.y;
    }
    float2 total = make_float2(totals[0].x + totals[1].x + (totals[2].x + totals[3].x),
                               totals[0].y + totals[1].y + (totals[2].y + totals[3].y));
#pragma unroll
    for (u32 offset = 8 * COLUMNS; offset < 32; offset *= 2) {
      total.x += __shfl_xor_sync(~0u, total.x, offset);
      total.y += __shfl_xor_sync(~0u, total.y, offset);
    }
    __syncwarp();
    if (lane == 0) mbarrier_arrive(empty(buffer));
    return total;
  }
};

// Where a lane finds its warp's unit of a stage, of which this is the first of the ring. The unit at a row's end has fewer pieces,
// without ANY_REST four. What is read of the other half then is any bytes, which have no scales.
template <bool ANY_REST>
struct UnitPlace {
  u32 nibbles, scales;
  __device__ __forceinline__ UnitPlace(u32 base, u32 inside, u32 lane)
      : nibbles(base + inside * UNIT_OCTET + lane * 16),
        scales(base + 2 * STAGE_OCTET + inside * UNIT_SCALES + lane / 4 * 16) {}

  __device__ __forceinline__ UnitVectors load_nibbles(u32 stage, bool is_full, u32 rest, u32 half) const {
    UnitVectors unit;
    if (!ANY_REST || is_full || rest == 4) {
#pragma unroll
      for (u32 octet = 0; octet < 2; octet++)
        unit.of[octet] = load_shared_vector(stage + nibbles + octet * STAGE_OCTET + half * 512);
      return unit;
    }
    const u32 lane = threadIdx.x % 32, first = stage + nibbles - lane * 16 + (lane / 4 * rest + half * 4) * 16 + lane % 4 * 4;
#pragma unroll
    for (u32 octet = 0; octet < 2; octet++) {
      u32 words[4];
#pragma unroll
      for (u32 i = 0; i < 4; i++)
        words[i] = half * 4 + i < rest ? load_shared_word(first + octet * STAGE_OCTET + i * 16) : 0;
      unit.of[octet] = make_uint4(words[0], words[1], words[2], words[3]);
    }
    return unit;
  }

  __device__ __forceinline__ UnitVectors load_scales(u32 stage, bool is_full, u32 rest) const {
    UnitVectors unit;
    if (is_full) {
#pragma unroll
      for (u32 octet = 0; octet < 2; octet++) unit.of[octet] = load_shared_vector(stage + scales + octet * STAGE_SCALES);
      return unit;
    }
    const u32 group = threadIdx.x % 32 / 4, first = stage + scales - group * 16 + group * (ANY_REST ? rest : 4) * 2;
#pragma unroll
    for (u32 octet = 0; octet < 2; octet++) {
      u32 pairs[4];
#pragma unroll
      for (u32 i = 0; i < 4; i++) {
        const u32 place = first + octet * STAGE_SCALES + i * 2;
        const __half low = !ANY_REST || i < rest ? load_shared_half(place) : __ushort_as_half(0);
        const __half high = ANY_REST && i + 4 < rest ? load_shared_half(place + 8) : __ushort_as_half(0);
        pairs[i] = bits_of(__halves2half2(low, high));
      }
      unit.of[octet] = make_uint4(pairs[0], pairs[1], pairs[2], pairs[3]);
    }
    return unit;
  }
};

// Bits that are there when all that was read of a unit's nibbles or scales is: a vector comes whole, and of words read one by one
// the last comes last.
template <bool ANY_REST>
__device__ __forceinline__ u32 any_of(const UnitVectors& unit) {
  u32 words = unit.of[0].w | unit.of[1].w;
  // Where rows end anywhere, the last may not have been there to be read.
  if (ANY_REST)
#pragma unroll
    for (u32 i = 0; i < 3; i++) words |= word_of(unit.of[0], i) | word_of(unit.of[1], i);
  return words;
}

// What the warps that multiply know of the block's shared memory: addresses.
template <u32 COLUMNS, u32 STAGES>
struct StepPlaces {
  Ring<STAGES> ring;
  u32 values, scales;
  TileSums<COLUMNS> sums;
};

// Multiplies the block's part of a product of rows of K values. A function of its own, as what the other phases of a step
// keep in registers would be spilled inside of its loops. `zero` is 0, which the compiler must not know.
template <bool ANY_REST, u32 COLUMNS, u32 STAGES>
__device__ __noinline__ Course<STAGES> multiply_tiles(StepPlaces<COLUMNS, STAGES> places, Course<STAGES> course, u32 K,
                                                      u32 tiles, bool is_gated, bool may_share, u32 zero) {
  const bool is_shared = has_pairs(COLUMNS) && may_share;
  const u32 lane = threadIdx.x % 32, inside = threadIdx.x / 32 % STAGE_UNITS;
  const u32 digit = min(lane / 4, 2 * COLUMNS - 1), column = min(lane % 4, COLUMNS - 1);
  const PackedRows rows(K);
  const RowPart mine(K, is_shared);
  const u32 step = course.step(is_shared), full = max(rows.full, mine.first) - mine.first;
  // A lane's places in the first stage, and of the first unit's activations.
  const UnitPlace<ANY_REST> place(places.ring.base, inside, lane);
  const u32 first_values = places.values + (digit * 4 + lane % 4) * 16, first_scale = places.scales + column * 4;
  const u32 first_turn = course.turn;
  const typename TileSums<COLUMNS>::LanePlace lane_sums = places.sums.lane_place(is_gated);
  for (u32 tile = course.begin(is_shared); tile < tiles; tile += step, course.turn++) {
    float sum[2] = {};
    while (course.next < mine.count) {
      const bool is_full = course.next < full;
      const u32 stage = course.slot * STAGE_BYTES, values = first_values + course.next * (32 * COLUMNS * 16);
      mbarrier_wait(places.ring.full_at(course.slot), course.parity);
      const UnitVectors scales = place.load_scales(stage, is_full, rows.rest);
      const UnitVectors first = place.load_nibbles(stage, is_full, rows.rest, 0);
      const UnitVectors second = place.load_nibbles(stage, is_full, rows.rest, 1);
      float part[2] = {};
      multiply_half<COLUMNS>(part, first, scales, 0, values);
      // The producer may fill the stage again once its values are in registers. Reads of shared memory need not be over when
      // a barrier behind them is told: some rows had weights of the next round. So what is told depends on what was read.
      const u32 read = any_of<ANY_REST>(first) | any_of<ANY_REST>(second) | any_of<ANY_REST>(scales);
      __syncwarp();
      if (lane == 0) mbarrier_arrive(places.ring.empty_at(course.slot) + (read & zero));
      multiply_half<COLUMNS>(part, second, scales, 1, values);
      const float scale = __uint_as_float(load_shared_word(first_scale + course.next * (COLUMNS * 4)));
      sum[0] += part[0] * scale;
      sum[1] += part[1] * scale;
      course.pass_stages(2);
      course.next += STEP_WARPS;
    }
    places.sums.put(course.turn, sum, is_gated, lane_sums);
    course.next -= mine.count;
  }
  // Units of the last stage that are behind the last tile.
  const u32 empty_units = (first_turn - course.turn) * mine.count % STAGE_UNITS;
  // Who has no unit in the last stage passes it, too, once it is there: not before the round before is over.
  if (course.next < empty_units) {
    mbarrier_wait(places.ring.full_at(course.slot), course.parity);
    __syncwarp();
    if (lane == 0) mbarrier_arrive(places.ring.empty_at(course.slot));
    course.pass_stages(2);
    course.next += STEP_WARPS;
  }
  course.next -= empty_units;
  course.end_product(tiles, is_shared);
  return course;
}

// Adds up the same tiles, by the warps for that, each with a buffer of its own. `store(tile, take)` is called by whole warps, as
// is `take()` once in it, which waits: what else is needed is fetched before.
template <u32 COLUMNS, u32 STAGES, typename Store>
__device__ __forceinline__ void add_tiles(Course<STAGES>& course, const StepProduct& product,
                                          const TileSums<COLUMNS>& sums, Store store) {
  const u32 adder = threadIdx.x / 32 - STEP_WARPS - 1;
#pragma unroll 1
  for (u32 tile = course.begin(product.is_shared); tile < product.tiles; tile += course.step(product.is_shared), course.turn++)
    if (course.turn % STEP_ADDERS == adder) store(tile, [&] { return sums.take(course.turn); });
  course.end_product(product.tiles, product.is_shared);
}

// What the other block of a pair has of the block's own tiles of a shared product: two rows of a column for each lane of the warp
// that adds up. A place is written again a layer later, when everybody has what its owner sent behind it.
struct PairSums {
  float2 values[OWNED_TILES][32];
  unsigned long long there[OWNED_TILES];

  // By one thread.
  __device__ __forceinline__ void initialize() {
    for (u32 i = 0; i < OWNED_TILES; i++) mbarrier_init(shared_address(there + i), 1);
  }
  // The pair's tiles, of which `round` counts those before, belong to its blocks in turn.
  static __device__ __forceinline__ bool is_own(u32 round) { return round % 2 == pair_rank(); }

  // By the lanes that have a sequence.
  __device__ __forceinline__ void send(u32 round, float2 sums) const {
    const u32 owned = round / 2, other = pair_rank() ^ 1;
    send_pair_words(pair_address(shared_address(values[owned] + threadIdx.x % 32), other), __float_as_uint(sums.x),
                    __float_as_uint(sums.y), pair_address(shared_address(there + owned), other));
  }
  // By a whole warp; lanes without a sequence get what is there.
  __device__ __forceinline__ float2 receive(u32 round, u32 columns, u32 layer) const {
    const u32 owned = round / 2, barrier = shared_address(there + owned);
    // Some of the bytes may have come already: a round ends with this arrival at the earliest.
    if (threadIdx.x % 32 == 0) mbarrier_expect(barrier, columns * 64);
    mbarrier_wait_cluster(barrier, layer % 2);
    return load_shared_float2(shared_address(values[owned] + threadIdx.x % 32));
  }
};

#endif
