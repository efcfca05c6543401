// A whole decode step in one kernel: one block on every multiprocessor goes through all layers and meets the others at a
// barrier of the grid between them. A kernel for each product costs 4 to 5 us of start, latency and tail; here memory
// never rests. One thread of a block, the producer, streams the block's share of all weights of the model into a ring in
// shared memory, far ahead: the weights depend on nothing, so while the others wait at a barrier or compute a norm, the
// ring fills up with what the next product needs.
//
// For GPUs of compute capability 9 and as much shared memory; the kernels of decode.cu are for all others.
#include "decode.cuh"

// Warps that multiply, and compute all that is no product; one more is the producer.
constexpr u32 STEP_WARPS = 16;
constexpr u32 STEP_THREADS = STEP_WARPS * 32;
// Warps that only add up what the others have multiplied, so that those need not meet at a tile's end: a block of 17 warps is
// given registers for 20. They take tiles in turn, and with one less than there are buffers for sums each has added up a
// later tile than that which its buffer had before: it cannot take that one for its own.
constexpr u32 STEP_ADDERS = 3;
constexpr u32 SUM_BUFFERS = STEP_ADDERS + 1;
constexpr u32 STEP_BLOCK = (STEP_WARPS + 1 + STEP_ADDERS) * 32;
// A stage of the ring: so many units (decode.cu) of two octets of rows, one unit for each warp of half a block; the
// halves take stages in turn.
constexpr u32 STAGE_UNITS = 8;
constexpr u32 STAGE_OCTET = 8192;
constexpr u32 STAGE_SCALES = 1024;
constexpr u32 STAGE_BYTES = 18432;
// Stages that are on their way at a time.
constexpr u32 IN_FLIGHT = 2;
// The widest row of a product, and a row of it in shared memory: f16 values, then what `Activations` says.
constexpr u32 MOST_K = 13824;
constexpr u32 ACTIVATION_BYTES = MOST_K * 2;
constexpr u32 OFFSET_BYTES = MOST_K / 256 * 32;
// Keys that attention looks at in a round, eight for each warp.
constexpr u32 ROUND_KEYS = STEP_WARPS * 8;
// Bytes from one head's shares of a round's keys to the next: padded, so that heads lie in different banks.
constexpr u32 SHARE_PITCH = ROUND_KEYS * 2 + 16;
constexpr u32 STEP_SPLITS = 64;
constexpr u32 MOST_LAYERS = 64;

// Shared memory by sequences: the ring's stages and the activations, in whose place attention has its values.
constexpr u32 STEP_STAGES_1 = 10;
constexpr u32 STEP_STAGES_2 = 8;
constexpr u32 STEP_STAGES_4 = 5;
// A barrier tells its present round from the one before alone. Who has a stage and goes on to the second behind it may look
// there before the round before has arrived, unless that was one of those which arrive before a stage is asked for.
static_assert(STEP_STAGES_4 >= IN_FLIGHT + 2, "a half's next stage has the ring's previous round behind it");
constexpr u32 STEP_ACTIVATIONS_1 = 37120;
constexpr u32 STEP_ACTIVATIONS_2 = 58752;
constexpr u32 STEP_ACTIVATIONS_4 = 117504;
constexpr u32 STEP_SHARED_1 = STEP_STAGES_1 * STAGE_BYTES + STEP_ACTIVATIONS_1;
constexpr u32 STEP_SHARED_2 = STEP_STAGES_2 * STAGE_BYTES + STEP_ACTIVATIONS_2;
constexpr u32 STEP_SHARED_4 = STEP_STAGES_4 * STAGE_BYTES + STEP_ACTIVATIONS_4;
static_assert(STEP_ACTIVATIONS_1 >= ROUND_KEYS * 128 * 2 + 16 * SHARE_PITCH, "attention's values and shares");
static_assert(STEP_ACTIVATIONS_2 >= 2 * (ACTIVATION_BYTES + OFFSET_BYTES), "activations of two sequences");
static_assert(STEP_ACTIVATIONS_4 >= 4 * (ACTIVATION_BYTES + OFFSET_BYTES), "activations of four sequences");

// What a layer is made of, in the order of the call's table.
struct StepLayer {
  const float4* input_norm;
  const uint4* qkv;
  const __half* qkv_scale;
  const float* qkv_bias;
  __half* keys;
  __half* values;
  const uint4* o;
  const __half* o_scale;
  const float4* post_attention_norm;
  const float4* pre_mlp_norm;
  const uint4* gate_up;
  const __half* gate_up_scale;
  const uint4* down;
  const __half* down_scale;
  const float4* post_mlp_norm;
};
struct LayerTable {
  StepLayer items[MOST_LAYERS];
};
constexpr u32 LAYER_TABLE_BYTES = MOST_LAYERS * 15 * 8;
static_assert(sizeof(LayerTable) == LAYER_TABLE_BYTES, "the size that the caller packs");

// Everything else that the kernel is given.
struct StepShape {
  u32 layers, columns, C, F, V, H, KV, context;
  float epsilon;
};
struct StepBuffers {
  const Row* rows;
  // The residual stream before and after a norm, in turn: [columns, C].
  float4* hidden;
  float4* next_hidden;
  __half* q;
  // [columns, C]: what `o` and `down` give.
  float* projected;
  // [columns, F]
  __half* activated;
  // [columns, H, D]
  __half* attended;
  // [columns, H, STEP_SPLITS, D] and, per split, its largest score and its sum.
  __half* partial_output;
  float2* partial_stats;
  // [columns, KV]: splits that are done.
  u32* arrivals;
  u32* barrier;
};

#if __CUDA_ARCH__ >= 900

__device__ __forceinline__ void mbarrier_init(u32 barrier, u32 count) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(count) : "memory");
}

__device__ __forceinline__ void mbarrier_arrive(u32 barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}

__device__ __forceinline__ void mbarrier_expect(u32 barrier, u32 bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes) : "memory");
}

__device__ __forceinline__ void mbarrier_wait(u32 barrier, u32 parity) {
  asm volatile(
      "{\n"
      ".reg .pred done;\n"
      "again: mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
      "@!done bra again;\n"
      "}" ::"r"(barrier),
      "r"(parity)
      : "memory");
}

// Copies bytes (a multiple of 16) that nobody reads again soon, and reports to the barrier.
__device__ __forceinline__ void copy_bulk(u32 target, const void* source, u32 bytes, u32 barrier, unsigned long long policy) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint [%0], [%1], %2, [%3], %4;" ::"r"(
          target),
      "l"(source), "r"(bytes), "r"(barrier), "l"(policy)
      : "memory");
}

// All threads that compute.
__device__ __forceinline__ void step_sync() { asm volatile("bar.sync 1, %0;" ::"n"(STEP_THREADS) : "memory"); }

// The same, and the warps that add up, at the end of a product.
__device__ __forceinline__ void product_sync() {
  asm volatile("bar.sync 2, %0;" ::"n"(STEP_THREADS + STEP_ADDERS * 32) : "memory");
}

// A product of a packed weight: tiles of 16 rows, which are two octets.
struct StepProduct {
  const uint4* weight;
  const __half* scales;
  u32 K, tiles;
  // Octets from one tile to the next, and from a tile's first octet to its second.
  u32 stride, second, last;
  __device__ __forceinline__ u32 octet(u32 tile, u32 half) const { return min(tile * stride + half * second, last); }
};

__device__ __forceinline__ StepProduct plain_product(const uint4* weight, const __half* scales, u32 K, u32 N) {
  return {weight, scales, K, (N + 15) / 16, 2, 1, N / 8 - 1};
}

// Rows f of the weight are gates, rows F + f ups: a tile has eight of each.
__device__ __forceinline__ StepProduct gated_product(const uint4* weight, const __half* scales, u32 K, u32 F) {
  return {weight, scales, K, F / 8, 1, F / 8, F / 4 - 1};
}

// Where a block is in the sequence of all tiles of a step: blocks take them in turn, and go on in turn from product to
// product, so that nobody has more to do for long. The producer and the warps that compute count alike.
template <u32 STAGES>
struct Course {
  u32 first, slot, parity, count;
  // Tiles and their stages before the present one. A warp's own stage may be past it.
  u32 turn, before;
  __device__ __forceinline__ Course() : first(blockIdx.x), slot(0), parity(0), count(0), turn(0), before(0) {}
  // At most as many stages as the ring has.
  __device__ __forceinline__ void pass(u32 stages) {
    count += stages;
    slot += stages;
    if (slot >= STAGES) slot -= STAGES, parity ^= 1;
  }
  __device__ __forceinline__ void next_stage() {
    count++;
    if (++slot == STAGES) slot = 0, parity ^= 1;
  }
  __device__ __forceinline__ void end_product(u32 tiles) {
    first = (first + gridDim.x - tiles % gridDim.x) % gridDim.x;
  }
};

template <u32 STAGES>
struct Ring {
  u32 base, full, empty;
  __device__ __forceinline__ u32 stage(u32 slot) const { return base + slot * STAGE_BYTES; }
  __device__ __forceinline__ u32 full_at(u32 slot) const { return full + slot * 8; }
  __device__ __forceinline__ u32 empty_at(u32 slot) const { return empty + slot * 8; }
};

// Streams the block's tiles of a product into the ring, but only so many stages at a time: a multiprocessor's reads are
// served in order, so that behind a whole ring on its way the activations, which everybody waits for, would come late.
template <u32 STAGES>
__device__ __forceinline__ void produce(const Ring<STAGES>& ring, Course<STAGES>& course, const StepProduct& product,
                                        unsigned long long policy) {
  const u32 pieces = product.K / 32;
  for (u32 tile = course.first; tile < product.tiles; tile += gridDim.x) {
    const size_t first = (size_t)product.octet(tile, 0) * 8 * pieces, second = (size_t)product.octet(tile, 1) * 8 * pieces;
    for (u32 piece = 0; piece < pieces; piece += STAGE_UNITS * 8) {
      const u32 count = min(STAGE_UNITS * 8, pieces - piece) * 8, place = piece * 8;
      const u32 target = ring.stage(course.slot), full = ring.full_at(course.slot);
      mbarrier_wait(ring.empty_at(course.slot), course.parity ^ 1);
      if (course.count >= IN_FLIGHT) {
        const bool is_round_before = course.slot < IN_FLIGHT;
        mbarrier_wait(ring.full_at(course.slot + (is_round_before ? STAGES : 0) - IN_FLIGHT),
                      is_round_before ? course.parity ^ 1 : course.parity);
      }
      mbarrier_expect(full, count * 36);
      copy_bulk(target, product.weight + first + place, count * 16, full, policy);
      copy_bulk(target + STAGE_OCTET, product.weight + second + place, count * 16, full, policy);
      copy_bulk(target + 2 * STAGE_OCTET, product.scales + first + place, count * 2, full, policy);
      copy_bulk(target + 2 * STAGE_OCTET + STAGE_SCALES, product.scales + second + place, count * 2, full, policy);
      course.next_stage();
    }
  }
  course.end_product(product.tiles);
}

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

// Rows [columns, K] that are f16 already.
template <u32 COLUMNS>
__device__ __forceinline__ void load_activations(const Activations<COLUMNS>& x, const __half* source, u32 K, u32 columns) {
  const uint4* const rows = reinterpret_cast<const uint4*>(source);
  // So many rounds at once, whose loads are all on their way before the first is used.
  constexpr u32 ROUNDS = COLUMNS > 2 ? 1 : 4 / COLUMNS;
  for (u32 first = threadIdx.x; first < K / 8; first += STEP_THREADS * ROUNDS) {
    uint4 v[ROUNDS][COLUMNS];
#pragma unroll
    for (u32 round = 0; round < ROUNDS; round++)
#pragma unroll
      for (u32 column = 0; column < COLUMNS; column++)
        v[round][column] = __ldcg(rows + (size_t)min(column, columns - 1) * (K / 8) +
                                  min(first + round * STEP_THREADS, K / 8 - 1));
#pragma unroll
    for (u32 round = 0; round < ROUNDS; round++) {
      const u32 eight = first + round * STEP_THREADS;
      if (eight >= K / 8) break;
#pragma unroll
      for (u32 column = 0; column < COLUMNS; column++) {
        float out[8];
        floats_of_halves(out, v[round][column]);
        x.store(eight, column, out);
      }
    }
  }
  x.finish(K);
}

// A unit of two octets of a warp: nibbles, each row's scales of the pieces 0, 4, 1, 5, ..., and those of pieces `quarter`
// and `quarter` + 4.
struct Unit {
  uint4 nibbles[2][2], scales[2];
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

template <u32 COLUMNS>
__device__ __forceinline__ void multiply_unit(float sum[4], float offset[4], const Unit& unit,
                                              const Activations<COLUMNS>& x, u32 index, u32 group, u32 quarter,
                                              uint4 (&held)[VALUES_AT_ONCE]) {
  const u32 has_column = group < COLUMNS;
  const u32 values = shared_address(x.values) + ((index * 32 + quarter) * COLUMNS + group) * 16;
#pragma unroll
  for (u32 i = 0; i < 8; i++) {
    uint4& v = held[i % VALUES_AT_ONCE];
    load_shared_vector_if(v, values + i * 64 * COLUMNS, has_column);
    const u32 w0 = word_of(unit.nibbles[0][i / 4], i % 4), w1 = word_of(unit.nibbles[1][i / 4], i % 4);
    float d[4] = {};
    mma_free(d, w0 & 0x000f000fu, w1 & 0x000f000fu, (w0 >> 8) & 0x000f000fu, (w1 >> 8) & 0x000f000fu, v.x, v.y);
    mma_free(d, w0 & 0x00f000f0u, w1 & 0x00f000f0u, (w0 >> 8) & 0x00f000f0u, (w1 >> 8) & 0x00f000f0u, v.z, v.w);
    const u32 pair0 = word_of(unit.scales[0], i % 4), pair1 = word_of(unit.scales[1], i % 4);
    const float2 both0 = __half22float2(*reinterpret_cast<const __half2*>(&pair0));
    const float2 both1 = __half22float2(*reinterpret_cast<const __half2*>(&pair1));
    const float scale0 = i < 4 ? both0.x : both0.y, scale1 = i < 4 ? both1.x : both1.y;
    sum[0] += scale0 * d[0];
    sum[2] += scale1 * d[2];
    if (COLUMNS > 1) {
      sum[1] += scale0 * d[1];
      sum[3] += scale1 * d[3];
    }
  }
  uint2 v = make_uint2(0, 0);
  if (has_column) v = x.offsets()[(index * 4 + quarter) * COLUMNS + group];
  mma_free(offset, unit.pair[0], unit.pair[1], unit.pair[0], unit.pair[1], v.x, v.y);
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

// A warp's unit of a stage.
__device__ __forceinline__ Unit load_unit(u32 slot, u32 inside, u32 index, const PackedRows& rows, u32 lane) {
  const u32 group = lane / 4, quarter = lane % 4;
  const u32 weight = slot + inside * 1024, scales = slot + 2 * STAGE_OCTET + inside * 128;
  Unit unit;
  if (index < rows.full) {
#pragma unroll
    for (u32 half = 0; half < 2; half++) {
      unit.nibbles[half][0] = load_shared_vector(weight + half * STAGE_OCTET + lane * 16);
      unit.nibbles[half][1] = load_shared_vector(weight + half * STAGE_OCTET + 512 + lane * 16);
      unit.scales[half] = load_shared_vector(scales + half * STAGE_SCALES + group * 16);
      unit.pair[half] = load_shared_word(scales + half * STAGE_SCALES + lane * 4);
    }
    return unit;
  }
  const u32 row = group * rows.rest, there = index < rows.units ? rows.rest : 0;
#pragma unroll
  for (u32 half = 0; half < 2; half++) {
    u32 words[8], pairs[4];
#pragma unroll
    for (u32 i = 0; i < 8; i++)
      words[i] = i < there ? load_shared_word(weight + half * STAGE_OCTET + (row + i) * 16 + quarter * 4) : 0;
#pragma unroll
    for (u32 i = 0; i < 4; i++) {
      const u32 place = scales + half * STAGE_SCALES + (row + i) * 2;
      const __half low = i < there ? load_shared_half(place) : __ushort_as_half(0);
      const __half high = i + 4 < there ? load_shared_half(place + 8) : __ushort_as_half(0);
      pairs[i] = bits_of(__halves2half2(low, high));
    }
    unit.nibbles[half][0] = make_uint4(words[0], words[1], words[2], words[3]);
    unit.nibbles[half][1] = make_uint4(words[4], words[5], words[6], words[7]);
    unit.scales[half] = make_uint4(pairs[0], pairs[1], pairs[2], pairs[3]);
    unit.pair[half] = word_of(unit.scales[half], quarter);
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
  for (u32 tile = course.first; tile < product.tiles; tile += gridDim.x, course.turn++, course.before += stages) {
    const u32 end = course.before + stages;
    float sum[4] = {}, offset[4] = {};
    while (course.count < end) {
      const u32 index = (course.count - course.before) * STAGE_UNITS + inside;
      mbarrier_wait(ring.full_at(course.slot), course.parity);
      const Unit unit = load_unit(ring.stage(course.slot), inside, index, rows, lane);
      // The producer may fill the stage again once the values are in registers. Its copies are not ordered behind ordinary
      // reads, which may still wait when the barrier is told: without the fence, some rows had weights of the next round.
      fence_async_proxy();
      __syncwarp();
      if (lane == 0) mbarrier_arrive(ring.empty_at(course.slot));
      if (index < rows.units) multiply_unit<COLUMNS>(sum, offset, unit, x, index, lane / 4, lane % 4, held);
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

// Two halves of a meeting of all blocks: what they wrote before the first is seen behind the second. The counter's upper bit
// turns over when the last one arrives, so that it needs no reset; `sense` is what it has before. After a product, those
// who add up arrive as well.
__device__ __forceinline__ void arrive_at_blocks(u32* counter, bool is_after_product) {
  if (is_after_product) product_sync();
  else step_sync();
  if (threadIdx.x != 0) return;
  const u32 amount = blockIdx.x == 0 ? 0x80000000u - (gridDim.x - 1) : 1;
  asm volatile("red.release.gpu.global.add.u32 [%0], %1;" ::"l"(counter), "r"(amount) : "memory");
}

__device__ __forceinline__ void wait_for_blocks(u32* counter, u32& sense) {
  if (threadIdx.x == 0) {
    u32 now;
    do {
      asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(now) : "l"(counter) : "memory");
    } while (((now ^ sense) & 0x80000000u) == 0);
  }
  sense ^= 0x80000000u;
  step_sync();
}

__device__ __forceinline__ void meet_blocks(u32* counter, u32& sense, bool is_after_product = true) {
  arrive_at_blocks(counter, is_after_product);
  wait_for_blocks(counter, sense);
}

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

// `norm_activations` for more sequences than registers hold. The residual streams come into shared memory, behind what
// the norm puts there, while the blocks meet; a thread only reads what it copied itself. The weights come twice.
template <u32 COLUMNS>
__device__ __forceinline__ void norm_many(const StepShape& shape, const StepBuffers& buffers, u32 turn, const float4* post,
                                          const float4* pre, const Activations<COLUMNS>& x,
                                          float (*parts)[STEP_WARPS][COLUMNS], u32& sense) {
  // Two vectors a thread and column, threads side by side.
  constexpr u32 STREAM = STEP_THREADS * COLUMNS * 16;
  static_assert(STREAM + STEP_THREADS * COLUMNS * 32 <= MOST_K / 8 * COLUMNS * 16, "activations of C and the streams");
  const u32 vectors = shape.C / 4, i = threadIdx.x;
  const float4* const hidden = turn % 2 == 0 ? buffers.hidden : buffers.next_hidden;
  float4* const next_hidden = turn % 2 == 0 ? buffers.next_hidden : buffers.hidden;
  const bool is_mine = i < shape.C / 8;
  float4* const streams = reinterpret_cast<float4*>(x.values) + STREAM / 16 + i;
  // This block is done with the activations before: they make room.
  if (post) arrive_at_blocks(buffers.barrier, true);
  else step_sync();
  if (is_mine) {
#pragma unroll
    for (u32 column = 0; column < COLUMNS; column++) {
      const float4* const source = hidden + (size_t)min(column, shape.columns - 1) * vectors + i * 2;
#pragma unroll
      for (u32 j = 0; j < 2; j++)
        copy_async(shared_address(streams + (column * 2 + j) * STEP_THREADS), source + j, true);
    }
  }
  commit_copies();
  float sums[COLUMNS] = {};
  if (post) {
    float values[COLUMNS][8] = {}, post_weight[8] = {};
    if (is_mine) put_eight(post_weight, post[i * 2], post[i * 2 + 1]);
    wait_for_blocks(buffers.barrier, sense);
#pragma unroll
    for (u32 column = 0; column < COLUMNS; column++) {
      const float4* const source =
          reinterpret_cast<const float4*>(buffers.projected) + (size_t)min(column, shape.columns - 1) * vectors + i * 2;
      if (is_mine) put_eight(values[column], __ldcg(source), __ldcg(source + 1));
    }
#pragma unroll
    for (u32 column = 0; column < COLUMNS; column++)
#pragma unroll
      for (u32 j = 0; j < 8; j++) sums[column] += values[column][j] * values[column][j];
    sum_columns<COLUMNS>(sums, parts[0]);
    wait_for_copies<0>();
    const bool is_writer = is_mine && i % gridDim.x == blockIdx.x;
#pragma unroll
    for (u32 column = 0; column < COLUMNS; column++) {
      const float scale = rsqrtf(sums[column] / (float)shape.C + shape.epsilon);
      float stream[8] = {};
      float4* const place_low = streams + column * 2 * STEP_THREADS;
      if (is_mine) put_eight(stream, place_low[0], place_low[STEP_THREADS]);
      sums[column] = 0;
#pragma unroll
      for (u32 j = 0; j < 8; j++) {
        stream[j] += values[column][j] * scale * post_weight[j];
        sums[column] += stream[j] * stream[j];
      }
      if (!is_mine) continue;
      const float4 low = make_float4(stream[0], stream[1], stream[2], stream[3]);
      const float4 high = make_float4(stream[4], stream[5], stream[6], stream[7]);
      place_low[0] = low;
      place_low[STEP_THREADS] = high;
      if (!is_writer || column >= shape.columns) continue;
      float4* const target = next_hidden + (size_t)column * vectors + i * 2;
      target[0] = low;
      target[1] = high;
    }
  } else {
    wait_for_copies<0>();
    if (is_mine) {
#pragma unroll
      for (u32 column = 0; column < COLUMNS; column++) {
        const float4 low = streams[column * 2 * STEP_THREADS], high = streams[(column * 2 + 1) * STEP_THREADS];
        sums[column] = dot(low, low) + dot(high, high);
      }
    }
  }
  float pre_weight[8] = {};
  if (is_mine) put_eight(pre_weight, pre[i * 2], pre[i * 2 + 1]);
  sum_columns<COLUMNS>(sums, parts[1]);
  if (is_mine) {
#pragma unroll
    for (u32 column = 0; column < COLUMNS; column++) {
      const float scale = rsqrtf(sums[column] / (float)shape.C + shape.epsilon);
      float stream[8], out[8];
      put_eight(stream, streams[column * 2 * STEP_THREADS], streams[(column * 2 + 1) * STEP_THREADS]);
#pragma unroll
      for (u32 j = 0; j < 8; j++) out[j] = stream[j] * scale * pre_weight[j];
      x.store(i, column, out);
    }
  }
  x.finish(shape.C);
  step_sync();
}

// The sandwich of norms, by every block for itself: x = rms(hidden + rms(projected) * post) * pre. A thread has eight
// channels. What no other block is about to write is fetched before the blocks meet. Each block writes its share of the
// new residual stream. Without `post`, x = rms(hidden) * pre.
template <u32 COLUMNS>
__device__ __forceinline__ void norm_activations(const StepShape& shape, const StepBuffers& buffers, u32 turn,
                                                 const float4* post, const float4* pre,
                                                 const Activations<COLUMNS>& x,
                                                 float (*parts)[STEP_WARPS][COLUMNS], u32& sense) {
  if constexpr (COLUMNS > 2) {
    norm_many<COLUMNS>(shape, buffers, turn, post, pre, x, parts, sense);
    return;
  }
  const u32 vectors = shape.C / 4, i = threadIdx.x;
  const float4* const hidden = turn % 2 == 0 ? buffers.hidden : buffers.next_hidden;
  float4* const next_hidden = turn % 2 == 0 ? buffers.next_hidden : buffers.hidden;
  const bool is_mine = i < shape.C / 8;
  float stream[COLUMNS][8] = {}, pre_weight[8] = {}, sums[COLUMNS];
  if (is_mine) {
    put_eight(pre_weight, pre[i * 2], pre[i * 2 + 1]);
#pragma unroll
    for (u32 column = 0; column < COLUMNS; column++) {
      const float4* const source = hidden + (size_t)min(column, shape.columns - 1) * vectors + i * 2;
      put_eight(stream[column], __ldcg(source), __ldcg(source + 1));
    }
  }
  if (post) {
    float values[COLUMNS][8] = {}, post_weight[8] = {};
    if (is_mine) put_eight(post_weight, post[i * 2], post[i * 2 + 1]);
    meet_blocks(buffers.barrier, sense);
#pragma unroll
    for (u32 column = 0; column < COLUMNS; column++) {
      const float4* const source =
          reinterpret_cast<const float4*>(buffers.projected) + (size_t)min(column, shape.columns - 1) * vectors + i * 2;
      if (is_mine) put_eight(values[column], __ldcg(source), __ldcg(source + 1));
    }
#pragma unroll
    for (u32 column = 0; column < COLUMNS; column++) {
      sums[column] = 0;
#pragma unroll
      for (u32 j = 0; j < 8; j++) sums[column] += values[column][j] * values[column][j];
    }
    sum_columns<COLUMNS>(sums, parts[0]);
    // A thread of its own block writes each eight channels of the new stream.
    const bool is_writer = is_mine && i % gridDim.x == blockIdx.x;
#pragma unroll
    for (u32 column = 0; column < COLUMNS; column++) {
      const float scale = rsqrtf(sums[column] / (float)shape.C + shape.epsilon);
#pragma unroll
      for (u32 j = 0; j < 8; j++) stream[column][j] += values[column][j] * scale * post_weight[j];
      if (!is_writer || column >= shape.columns) continue;
      float4* const target = next_hidden + (size_t)column * vectors + i * 2;
      target[0] = make_float4(stream[column][0], stream[column][1], stream[column][2], stream[column][3]);
      target[1] = make_float4(stream[column][4], stream[column][5], stream[column][6], stream[column][7]);
    }
  }
#pragma unroll
  for (u32 column = 0; column < COLUMNS; column++) {
    sums[column] = 0;
#pragma unroll
    for (u32 j = 0; j < 8; j++) sums[column] += stream[column][j] * stream[column][j];
  }
  sum_columns<COLUMNS>(sums, parts[1]);
  if (is_mine) {
#pragma unroll
    for (u32 column = 0; column < COLUMNS; column++) {
      const float scale = rsqrtf(sums[column] / (float)shape.C + shape.epsilon);
      float out[8];
#pragma unroll
      for (u32 j = 0; j < 8; j++) out[j] = stream[column][j] * scale * pre_weight[j];
      x.store(i, column, out);
    }
  }
  x.finish(shape.C);
  step_sync();
}

// Keys of a split, and how many splits there are, of a sequence.
struct StepSplits {
  u32 share, used;
  __device__ __forceinline__ StepSplits(u32 key_count, u32 most) {
    share = ((key_count + most - 1) / most + ROUND_KEYS - 1) / ROUND_KEYS * ROUND_KEYS;
    used = (key_count + share - 1) / share;
  }
};

// As many splits as give every block at most one.
__device__ __forceinline__ u32 most_splits(const StepShape& shape) {
  return max(min(STEP_SPLITS, gridDim.x / (shape.KV * shape.columns)), 1u);
}

// Joins the splits of some heads: two neighbouring threads take eight dimensions, every second split each.
template <int D>
__device__ __forceinline__ void join_heads(const StepBuffers& buffers, u32 first_head, u32 heads, u32 used) {
  constexpr u32 AT_ONCE = 8;
  const u32 part = threadIdx.x % 2;
  for (u32 i = threadIdx.x / 2; i < heads * D / 8; i += STEP_THREADS / 2) {
    const u32 head = first_head + i / (D / 8), d = i % (D / 8) * 8;
    const float2* const stats = buffers.partial_stats + (size_t)head * STEP_SPLITS;
    const __half* const source = buffers.partial_output + (size_t)head * STEP_SPLITS * D + d;
    float best = -3e38f, total = 0, out[8] = {};
    for (u32 first = part; first < used; first += AT_ONCE * 2) {
      float2 mine[AT_ONCE];
      uint4 values[AT_ONCE];
#pragma unroll
      for (u32 k = 0; k < AT_ONCE; k++) {
        const u32 split = first + k * 2;
        mine[k] = make_float2(-3e38f, 0);
        values[k] = make_uint4(0, 0, 0, 0);
        if (split >= used) continue;
        mine[k] = __ldcg(stats + split);
        values[k] = __ldcg(reinterpret_cast<const uint4*>(source + (size_t)split * D));
      }
      float largest = best;
#pragma unroll
      for (u32 k = 0; k < AT_ONCE; k++) largest = fmaxf(largest, mine[k].x);
      const float decay = exp2f(best - largest);
      best = largest;
      total *= decay;
#pragma unroll
      for (u32 j = 0; j < 8; j++) out[j] *= decay;
#pragma unroll
      for (u32 k = 0; k < AT_ONCE; k++) {
        const float share = mine[k].y * exp2f(mine[k].x - best);
        float v[8];
        floats_of_halves(v, values[k]);
        total += share;
#pragma unroll
        for (u32 j = 0; j < 8; j++) out[j] += v[j] * share;
      }
    }
    const u32 pair = 3u << (threadIdx.x & 30);
    const float largest = fmaxf(best, __shfl_xor_sync(pair, best, 1)), decay = exp2f(best - largest);
    total *= decay;
    total += __shfl_xor_sync(pair, total, 1);
    const float inverse = 1 / total;
#pragma unroll
    for (u32 j = 0; j < 8; j++) {
      out[j] *= decay;
      out[j] += __shfl_xor_sync(pair, out[j], 1);
      out[j] = __half2float(to_half(out[j] * inverse));
    }
    if (part != 0) continue;
    uint4* const target = reinterpret_cast<uint4*>(buffers.attended + (size_t)head * D + d);
    *target = make_uint4(pack_halves(out[0], out[1]), pack_halves(out[2], out[3]), pack_halves(out[4], out[5]),
                         pack_halves(out[6], out[7]));
  }
}

// One split of a sequence's keys for one KV head and up to 16 query heads, which are the rows of an mma. A warp scores
// eight keys of a round; then the first warps take eight dimensions each of the round's values, in shared memory.
template <int D>
__device__ __forceinline__ void attend_part(const StepShape& shape, const StepBuffers& buffers, const StepLayer& layer,
                                            u32 column, u32 kv, u32 split, u32 most, u32 values,
                                            float (*shared_best)[16], float (*shared_total)[16], u32& shared_flag) {
  constexpr u32 CHUNKS = D / 8;
  const u32 warp = threadIdx.x / 32, lane = threadIdx.x % 32, group = lane / 4, quarter = lane % 4;
  const u32 heads = shape.H / shape.KV, first_head = column * shape.H + kv * heads;
  const Row* const row = buffers.rows + column;
  const u32 key_count = row->cache_index + 1;
  const StepSplits splits(key_count, most);
  const u32 begin = split * splits.share, end = min(begin + splits.share, key_count);
  if (begin >= key_count) return;
  const size_t cache = ((size_t)row->slot * shape.KV + kv) * shape.context * D;
  const u32 shares = values + ROUND_KEYS * D * 2;

  uint4 query[2][D / 32];
#pragma unroll
  for (u32 half = 0; half < 2; half++)
#pragma unroll
    for (u32 i = 0; i < D / 32; i++) {
      const u32 head = min(group + half * 8, heads - 1);
      query[half][i] = __ldcg(reinterpret_cast<const uint4*>(buffers.q + (size_t)(first_head + head) * D) + i * 4 + quarter);
    }
  float best[2] = {-3e38f, -3e38f}, total[2] = {}, output[2][4] = {};
  uint4 key[D / 32];
  const auto load_keys = [&](u32 first) {
    const u32 my_key = min(first + warp * 8 + group, end - 1);
#pragma unroll
    for (u32 i = 0; i < D / 32; i++)
      key[i] = __ldcg(reinterpret_cast<const uint4*>(layer.keys + cache + (size_t)my_key * D) + i * 4 + quarter);
  };
  load_keys(begin);
  for (u32 first = begin; first < end; first += ROUND_KEYS) {
    // The values are on their way while the keys are multiplied. A key's chunks are in turned order, to use all banks.
    for (u32 i = threadIdx.x; i < ROUND_KEYS * CHUNKS; i += STEP_THREADS) {
      const u32 index = i / CHUNKS, chunk = i % CHUNKS;
      copy_async(values + index * D * 2 + (chunk ^ (index % 8 % CHUNKS)) * 16,
                 layer.values + cache + (size_t)min(first + index, end - 1) * D + chunk * 8, first + index < end);
    }
    commit_copies();
    float scores[4] = {};
#pragma unroll
    for (u32 i = 0; i < D / 32; i++) {
      mma(scores, query[0][i].x, query[1][i].x, query[0][i].y, query[1][i].y, key[i].x, key[i].y);
      mma(scores, query[0][i].z, query[1][i].z, query[0][i].w, query[1][i].w, key[i].z, key[i].w);
    }
    if (first + ROUND_KEYS < end) load_keys(first + ROUND_KEYS);
#pragma unroll
    for (u32 half = 0; half < 2; half++) {
#pragma unroll
      for (u32 i = 0; i < 2; i++)
        if (first + warp * 8 + quarter * 2 + i >= end) scores[half * 2 + i] = -3e38f;
      float largest = fmaxf(scores[half * 2], scores[half * 2 + 1]);
      largest = quad_max(largest);
      if (quarter == 0) shared_best[warp][group + half * 8] = largest;
    }
    wait_for_copies<0>();
    step_sync();
#pragma unroll
    for (u32 half = 0; half < 2; half++) {
      float largest = best[half];
#pragma unroll
      for (u32 i = 0; i < STEP_WARPS; i++) largest = fmaxf(largest, shared_best[i][group + half * 8]);
      const float decay = exp2f(best[half] - largest);
      best[half] = largest;
      const float low = exp2f(scores[half * 2] - largest), high = exp2f(scores[half * 2 + 1] - largest);
      store_shared_word(shares + (group + half * 8) * SHARE_PITCH + (warp * 8 + quarter * 2) * 2, pack_halves(low, high));
      total[half] = total[half] * decay + low + high;
      const float sum = quad_sum(total[half]);
      if (quarter == 0) shared_total[warp][group + half * 8] = sum;
#pragma unroll
      for (u32 i = 0; i < 2; i++) {
        output[i][half * 2] *= decay;
        output[i][half * 2 + 1] *= decay;
      }
    }
    step_sync();
    if (warp < CHUNKS) {
#pragma unroll
      for (u32 i = 0; i < ROUND_KEYS / 32; i++) {
        const u32 index = i * 32 + lane;
        u32 v[4];
        load_matrices_transposed(v, values + index * D * 2 + (warp ^ (index % 8 % CHUNKS)) * 16);
        const u32 place = shares + group * SHARE_PITCH + (i * 32 + quarter * 2) * 2;
#pragma unroll
        for (u32 j = 0; j < 2; j++)
          mma(output[j], load_shared_word(place + j * 32), load_shared_word(place + j * 32 + 8 * SHARE_PITCH),
              load_shared_word(place + j * 32 + 16), load_shared_word(place + j * 32 + 16 + 8 * SHARE_PITCH), v[j * 2],
              v[j * 2 + 1]);
      }
    }
    if (first + ROUND_KEYS < end) step_sync();
  }
  if (warp < CHUNKS) {
#pragma unroll
    for (u32 half = 0; half < 2; half++) {
      const u32 head = group + half * 8;
      if (head >= heads) break;
      float whole = 0;
#pragma unroll
      for (u32 i = 0; i < STEP_WARPS; i++) whole += shared_total[i][head];
      const size_t place = (size_t)(first_head + head) * STEP_SPLITS + split;
      const float inverse = 1 / whole;
      reinterpret_cast<u32*>(buffers.partial_output + place * D)[warp * 4 + quarter] =
          pack_halves((output[0][half * 2] + output[1][half * 2]) * inverse,
                      (output[0][half * 2 + 1] + output[1][half * 2 + 1]) * inverse);
      if (warp == 0 && quarter == 0) buffers.partial_stats[place] = make_float2(best[half], whole);
    }
  }
  // Whoever is last joins the splits of these heads.
  step_sync();
  if (threadIdx.x == 0) {
    u32* const arrivals = buffers.arrivals + column * shape.KV + kv;
    u32 earlier;
    asm volatile("atom.acq_rel.gpu.global.add.u32 %0, [%1], 1;" : "=r"(earlier) : "l"(arrivals) : "memory");
    shared_flag = earlier + 1 == splits.used;
    if (shared_flag) *arrivals = 0;
  }
  step_sync();
  if (!shared_flag) return;
  join_heads<D>(buffers, first_head, heads, splits.used);
}

// Brings the block's keys and values of a layer closer while the layer's first product runs.
template <int D>
__device__ __forceinline__ void prefetch_cache(const StepShape& shape, const StepBuffers& buffers, const StepLayer& layer,
                                               u32 most) {
  const u32 kv = blockIdx.x / most % shape.KV, column = blockIdx.x / most / shape.KV;
  if (column >= shape.columns) return;
  const Row* const row = buffers.rows + column;
  const u32 key_count = row->cache_index + 1;
  const StepSplits splits(key_count, most);
  const u32 begin = blockIdx.x % most * splits.share, end = min(begin + min(splits.share, ROUND_KEYS), key_count);
  const size_t cache = ((size_t)row->slot * shape.KV + kv) * shape.context * D;
  for (u32 i = begin * D + threadIdx.x * 64; i < end * D; i += STEP_THREADS * 64) {
    prefetch(layer.keys + cache + i);
    prefetch(layer.values + cache + i);
  }
}

// What `RopeTarget::store` does, with all loads before the first total, which waits.
template <typename Total>
__device__ __forceinline__ void store_turned(const RopeTarget& rope, u32 column, u32 n, const float* bias, __half* keys,
                                             __half* values, Total total, u32 pair_row) {
  const Row* const row = rope.rows + column;
  const u32 head = n / rope.D, dimension = n % rope.D, pair = dimension / 2;
  const float2 added = *reinterpret_cast<const float2*>(bias + n);
  const bool is_turned = head < rope.H + rope.KV && pair < rope.ROTARY_PAIRS;
  float2 turn = make_float2(1, 0);
  if (is_turned) {
    const u32 axis = pair < rope.TIME_PAIRS ? 0 : pair < rope.TIME_PAIRS + rope.ROW_PAIRS ? 1 : 2;
    turn = rope.rope[(size_t)row->position[axis] * rope.ROTARY_PAIRS + pair];
  }
  const float scale = head < rope.H ? rope.Q_SCALE : 1;
  const bool is_key = head < rope.H + rope.KV;
  const size_t place =
      (((size_t)row->slot * rope.KV + head - (is_key ? rope.H : rope.H + rope.KV)) * rope.CONTEXT + row->cache_index) * rope.D;
  u32* const target = reinterpret_cast<u32*>(head < rope.H ? rope.q + (size_t)column * rope.H * rope.D + n
                                                           : (is_key ? keys : values) + place + dimension);
  const float low = total(pair_row, column) + added.x, high = total(pair_row + 1, column) + added.y;
  *target = pack_halves((is_turned ? low * turn.x - high * turn.y : low) * scale,
                        (is_turned ? high * turn.x + low * turn.y : high) * scale);
}

template <int D, u32 COLUMNS, u32 STAGES>
__device__ __forceinline__ void decode_step(const LayerTable& layers, const StepShape& shape, const StepBuffers& buffers,
                                            const RopeTarget& rope, const float4* final_norm, const uint4* head,
                                            const __half* head_scale, float* logits) {
  extern __shared__ uint4 shared_memory[];
  __shared__ unsigned long long barriers[2][STAGES];
  __shared__ TileSums<COLUMNS> sums;
  __shared__ float parts[2][STEP_WARPS][COLUMNS];
  __shared__ float shared_best[STEP_WARPS][16], shared_total[STEP_WARPS][16];
  __shared__ u32 shared_flag;
  const Ring<STAGES> ring = {shared_address(shared_memory), shared_address(barriers[0]), shared_address(barriers[1])};
  const Activations<COLUMNS> x = {shared_memory + STAGES * STAGE_BYTES / 16};
  const u32 width = shape.H * D, qkv_rows = (shape.H + 2 * shape.KV) * D;
  if (threadIdx.x == 0) {
    for (u32 i = 0; i < STAGES; i++) {
      mbarrier_init(ring.full_at(i), 1);
      mbarrier_init(ring.empty_at(i), STAGE_UNITS);
    }
    sums.initialize();
    fence_async_proxy();
  }
  __syncthreads();
  Course<STAGES> course;
  const auto store_rows = [&](float* y, u32 N) {
    return [=](u32 tile, u32 index, auto total) {
      const u32 row = index % 16, column = index / 16, n = tile * 16 + row;
      if (column < shape.columns && n < N) y[(size_t)column * N + n] = total(row, column);
    };
  };
  const auto store_gated = [&](u32 tile, u32 index, auto total) {
    const u32 row = index % 8, column = index / 8;
    if (column >= shape.columns) return;
    buffers.activated[(size_t)column * shape.F + tile * 8 + row] =
        to_half(silu(total(row, column)) * total(row + 8, column));
  };
  if (threadIdx.x >= STEP_THREADS + 32) {
    wait_for_earlier_kernels();
    for (u32 i = 0; i < shape.layers; i++) {
      const StepLayer layer = layers.items[i];
      add_tiles<COLUMNS>(course, plain_product(layer.qkv, layer.qkv_scale, shape.C, qkv_rows), sums,
                         [&](u32 tile, u32 index, auto total) {
                           const u32 pair = index % 8, column = index / 8, n = tile * 16 + pair * 2;
                           if (column >= shape.columns || n >= qkv_rows) return;
                           store_turned(rope, column, n, layer.qkv_bias, layer.keys, layer.values, total, pair * 2);
                         });
      product_sync();
      add_tiles<COLUMNS>(course, plain_product(layer.o, layer.o_scale, width, shape.C), sums,
                         store_rows(buffers.projected, shape.C));
      product_sync();
      add_tiles<COLUMNS>(course, gated_product(layer.gate_up, layer.gate_up_scale, shape.C, shape.F), sums, store_gated);
      product_sync();
      add_tiles<COLUMNS>(course, plain_product(layer.down, layer.down_scale, shape.F, shape.C), sums,
                         store_rows(buffers.projected, shape.C));
      product_sync();
    }
    add_tiles<COLUMNS>(course, plain_product(head, head_scale, shape.C, shape.V), sums, store_rows(logits, shape.V));
    return;
  }
  if (threadIdx.x >= STEP_THREADS) {
    if (threadIdx.x > STEP_THREADS) return;
    unsigned long long policy;
    asm volatile("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
    for (u32 i = 0; i < shape.layers; i++) {
      const StepLayer layer = layers.items[i];
      produce(ring, course, plain_product(layer.qkv, layer.qkv_scale, shape.C, qkv_rows), policy);
      produce(ring, course, plain_product(layer.o, layer.o_scale, width, shape.C), policy);
      produce(ring, course, gated_product(layer.gate_up, layer.gate_up_scale, shape.C, shape.F), policy);
      produce(ring, course, plain_product(layer.down, layer.down_scale, shape.F, shape.C), policy);
    }
    produce(ring, course, plain_product(head, head_scale, shape.C, shape.V), policy);
    return;
  }

  wait_for_earlier_kernels();
  u32 sense = *reinterpret_cast<volatile u32*>(buffers.barrier) & 0x80000000u;
  const u32 most = most_splits(shape);
  u32 norms = 0;
  // The halves' first stages.
  course.pass(threadIdx.x / (STEP_THREADS / 2));
  norm_activations<COLUMNS>(shape, buffers, norms, nullptr, layers.items[0].input_norm, x, parts, sense);
  for (u32 i = 0; i < shape.layers; i++) {
    const StepLayer layer = layers.items[i];
    prefetch_cache<D>(shape, buffers, layer, most);
    multiply_tiles<COLUMNS>(ring, course, plain_product(layer.qkv, layer.qkv_scale, shape.C, qkv_rows), x, sums);
    meet_blocks(buffers.barrier, sense);
    for (u32 item = blockIdx.x; item < shape.columns * shape.KV * most; item += gridDim.x) {
      attend_part<D>(shape, buffers, layer, item / most / shape.KV, item / most % shape.KV, item % most, most,
                     shared_address(x.values), shared_best, shared_total, shared_flag);
      step_sync();
    }
    meet_blocks(buffers.barrier, sense, false);
    load_activations<COLUMNS>(x, buffers.attended, width, shape.columns);
    step_sync();
    multiply_tiles<COLUMNS>(ring, course, plain_product(layer.o, layer.o_scale, width, shape.C), x, sums);
    norm_activations<COLUMNS>(shape, buffers, norms++, layer.post_attention_norm, layer.pre_mlp_norm, x, parts, sense);
    multiply_tiles<COLUMNS>(ring, course, gated_product(layer.gate_up, layer.gate_up_scale, shape.C, shape.F), x, sums);
    meet_blocks(buffers.barrier, sense);
    load_activations<COLUMNS>(x, buffers.activated, shape.F, shape.columns);
    step_sync();
    multiply_tiles<COLUMNS>(ring, course, plain_product(layer.down, layer.down_scale, shape.F, shape.C), x, sums);
    norm_activations<COLUMNS>(shape, buffers, norms++, layer.post_mlp_norm,
                              i + 1 < shape.layers ? layers.items[i + 1].input_norm : final_norm, x, parts, sense);
  }
  multiply_tiles<COLUMNS>(ring, course, plain_product(head, head_scale, shape.C, shape.V), x, sums);
}

#define RUN_DECODE_STEP(SIZE, WIDTH)                                                                                 \
  decode_step<SIZE, WIDTH, STEP_STAGES_##WIDTH>(                                                                     \
      layers, {L, COLUMNS, C, F, V, H, KV, CONTEXT, EPSILON},                                                        \
      {rows, hidden, next_hidden, q, projected, activated, attended, partial_output, partial_stats, arrivals,      \
       barrier},                                                                                                     \
      {rope, rows, q, H, KV, SIZE, ROTARY_PAIRS, TIME_PAIRS, ROW_PAIRS, CONTEXT, Q_SCALE}, final_norm, head,         \
      head_scale, logits)
#else
#define RUN_DECODE_STEP(SIZE, WIDTH) __trap()
#endif

// A decode step of up to WIDTH sequences from the embedded tokens in `hidden` to the logits.
#define DECODE_STEP(SIZE, WIDTH)                                                                                     \
  KERNEL_TOGETHER(decode_step__D_##SIZE##__WIDTH_##WIDTH, STEP_BLOCK, STEP_SHARED_##WIDTH)                           \
  (const LayerTable layers, const float4* final_norm, const uint4* head, const __half* head_scale,                   \
   const float2* rope, const Row* rows, float4* hidden, float4* next_hidden, __half* q, float* projected,            \
   __half* activated, __half* attended, __half* partial_output, float2* partial_stats, u32* arrivals, u32* barrier,   \
   float* logits, u32 L, u32 COLUMNS, u32 C, u32 F, u32 V, u32 H, u32 KV, u32 CONTEXT, u32 ROTARY_PAIRS,             \
   u32 TIME_PAIRS, u32 ROW_PAIRS, float EPSILON, float Q_SCALE) {                                                    \
    RUN_DECODE_STEP(SIZE, WIDTH);                                                                                    \
  }
DECODE_STEP(32, 1)
DECODE_STEP(32, 2)
DECODE_STEP(32, 4)
DECODE_STEP(128, 1)
DECODE_STEP(128, 2)
DECODE_STEP(128, 4)
