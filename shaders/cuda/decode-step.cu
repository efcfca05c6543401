// A whole decode step in one kernel: one block on every multiprocessor goes through all layers and meets the others at a
// barrier of the grid between them. A kernel for each product costs 4 to 5 us of start, latency and tail; here memory
// never rests. One thread of a block, the producer, streams the block's share of all weights of the model into a ring in
// shared memory, far ahead: the weights depend on nothing, so while the others wait at a barrier or compute a norm, the
// ring fills up with what the next product needs.
//
// For GPUs of compute capability 9 and as much shared memory; the kernels of decode.cu are for all others.
#include "mma.cuh"

// Warps that compute; one more is the producer.
constexpr u32 STEP_WARPS = 16;
constexpr u32 STEP_THREADS = STEP_WARPS * 32;
constexpr u32 STEP_BLOCK = 544;
// A stage of the ring: so many units (decode.cu) of two octets of rows, one unit for each warp of half a block; the
// halves take stages in turn.
constexpr u32 STAGE_UNITS = 8;
constexpr u32 STAGE_OCTET = 8192;
constexpr u32 STAGE_SCALES = 1024;
constexpr u32 STAGE_BYTES = 18432;
// Stages that are on their way at a time.
constexpr u32 IN_FLIGHT = 2;
// The widest row of a product, in f16: a step's activations lie in shared memory as `store_activations` says.
constexpr u32 ACTIVATION_BYTES = 27648;
// Attention adds up its warps' outputs in so many places, in turns.
constexpr u32 OUTPUT_SLOTS = 4;
constexpr u32 STEP_SPLITS = 32;
// Up to so many splits are joined by every block itself; more by the last block that is done with one.
constexpr u32 EVERYWHERE_JOINED = 8;
constexpr u32 MOST_LAYERS = 64;

// Shared memory by sequences: the ring's stages and the activations.
constexpr u32 STEP_STAGES_1 = 10;
constexpr u32 STEP_STAGES_2 = 9;
constexpr u32 STEP_STAGES_4 = 6;
constexpr u32 STEP_ACTIVATIONS_1 = 32768;
constexpr u32 STEP_ACTIVATIONS_2 = 55296;
constexpr u32 STEP_ACTIVATIONS_4 = 110592;
constexpr u32 STEP_SHARED_1 = STEP_STAGES_1 * STAGE_BYTES + STEP_ACTIVATIONS_1;
constexpr u32 STEP_SHARED_2 = STEP_STAGES_2 * STAGE_BYTES + STEP_ACTIVATIONS_2;
constexpr u32 STEP_SHARED_4 = STEP_STAGES_4 * STAGE_BYTES + STEP_ACTIVATIONS_4;
static_assert(STEP_ACTIVATIONS_1 >= OUTPUT_SLOTS * 16 * 128 * 4, "attention's outputs lie where the activations do");
static_assert(STEP_ACTIVATIONS_4 >= 4 * ACTIVATION_BYTES, "activations of four sequences");

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
  float* partial_output;
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

// All threads but the producer's warp.
__device__ __forceinline__ void step_sync() { asm volatile("bar.sync 1, %0;" ::"n"(STEP_THREADS) : "memory"); }

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
  __device__ __forceinline__ Course() : first(blockIdx.x), slot(0), parity(0), count(0) {}
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

// Activations in shared memory: [unit][half of a unit][word of a piece][piece][column], 8 values each as the pairs
// (0, 4), (1, 5), (2, 6), (3, 7) that `unpack_nibbles` gives of a weight.
template <u32 COLUMNS>
__device__ __forceinline__ u32 activation_place(u32 piece, u32 word, u32 column) {
  return ((piece / 4 * 4 + word) * 4 + piece % 4) * COLUMNS + column;
}

template <u32 COLUMNS>
__device__ __forceinline__ void store_activations(uint4* x, u32 eight, u32 column, const float v[8]) {
  x[activation_place<COLUMNS>(eight / 4, eight % 4, column)] =
      make_uint4(pack_halves(v[0], v[4]), pack_halves(v[1], v[5]), pack_halves(v[2], v[6]), pack_halves(v[3], v[7]));
}

// Rows [columns, K] that are f16 already.
template <u32 COLUMNS>
__device__ __forceinline__ void load_activations(uint4* x, const __half* source, u32 K, u32 columns) {
  const uint4* const values = reinterpret_cast<const uint4*>(source);
  for (u32 i = threadIdx.x; i < K / 8; i += STEP_THREADS)
#pragma unroll
    for (u32 column = 0; column < COLUMNS; column++) {
      if (column >= columns) break;
      const uint4 v = __ldcg(values + (size_t)column * (K / 8) + i);
      x[activation_place<COLUMNS>(i / 4, i % 4, column)] =
          make_uint4(__byte_perm(v.x, v.z, 0x5410), __byte_perm(v.x, v.z, 0x7632), __byte_perm(v.y, v.w, 0x5410),
                     __byte_perm(v.y, v.w, 0x7632));
    }
}

// d += a unit of two octets times its activations.
template <u32 COLUMNS>
__device__ __forceinline__ void multiply_unit(float d[2][4], const uint4 nibbles[2][2], const __half2 scale[2],
                                              const uint4* x, u32 unit, u32 group, u32 quarter, u32 pieces) {
#pragma unroll
  for (u32 b = 0; b < 2; b++) {
    const __half2 scale0 = b == 0 ? __low2half2(scale[0]) : __high2half2(scale[0]);
    const __half2 scale1 = b == 0 ? __low2half2(scale[1]) : __high2half2(scale[1]);
    const u32 piece = unit * 8 + b * 4 + quarter;
    const bool has_values = group < COLUMNS && piece < pieces;
#pragma unroll
    for (u32 word = 0; word < 4; word++) {
      uint4 v = make_uint4(0, 0, 0, 0);
      if (has_values) v = x[activation_place<COLUMNS>(piece, word, group)];
      __half2 a0[4], a1[4];
      unpack_nibbles(word_of(nibbles[0][b], word), a0);
      unpack_nibbles(word_of(nibbles[1][b], word), a1);
      mma(d[0], bits_of(__hmul2(a0[0], scale0)), bits_of(__hmul2(a1[0], scale1)), bits_of(__hmul2(a0[1], scale0)),
          bits_of(__hmul2(a1[1], scale1)), v.x, v.y);
      mma(d[1], bits_of(__hmul2(a0[2], scale0)), bits_of(__hmul2(a1[2], scale1)), bits_of(__hmul2(a0[3], scale0)),
          bits_of(__hmul2(a1[3], scale1)), v.z, v.w);
    }
  }
}

// The sums of a tile, by warp, row and column.
template <u32 COLUMNS>
struct TileSums {
  float values[2][STEP_WARPS][16 * COLUMNS];
};

// Multiplies the block's tiles of a product. `store(tile, index, total)` is called by 16 * COLUMNS threads for each tile;
// `total(row, column)` adds what the warps have.
template <u32 COLUMNS, u32 STAGES, typename Store>
__device__ __forceinline__ void multiply_tiles(const Ring<STAGES>& ring, Course<STAGES>& course, const StepProduct& product,
                                               const uint4* x, TileSums<COLUMNS>& sums, Store store) {
  const u32 warp = threadIdx.x / 32, lane = threadIdx.x % 32, group = lane / 4, quarter = lane % 4;
  const PackedRows rows(product.K);
  u32 turn = 0;
  for (u32 tile = course.first; tile < product.tiles; tile += gridDim.x) {
    // Two sums, so that an mma need not wait for the one before it.
    float d[2][4] = {};
    for (u32 first = 0; first < rows.units; first += STAGE_UNITS, course.next_stage()) {
      if ((course.count & 1) != warp / STAGE_UNITS) continue;
      const u32 inside = warp % STAGE_UNITS, unit = first + inside;
      const u32 slot = ring.stage(course.slot);
      uint4 nibbles[2][2];
      __half2 scale[2];
      mbarrier_wait(ring.full_at(course.slot), course.parity);
#pragma unroll
      for (u32 half = 0; half < 2; half++) {
        const u32 weight = slot + half * STAGE_OCTET + inside * 1024;
        const u32 scales = slot + 2 * STAGE_OCTET + half * STAGE_SCALES + inside * 128;
        if (unit < rows.full) {
          nibbles[half][0] = load_shared_vector(weight + lane * 16);
          nibbles[half][1] = load_shared_vector(weight + 512 + lane * 16);
          scale[half] = load_shared_pair(scales + lane * 4);
        } else {
          __half rest[2];
#pragma unroll
          for (u32 b = 0; b < 2; b++) {
            const u32 piece = b * 4 + quarter, place = group * rows.rest + piece;
            const bool is_there = unit < rows.units && piece < rows.rest;
            nibbles[half][b] = is_there ? load_shared_vector(weight + place * 16) : make_uint4(0, 0, 0, 0);
            rest[b] = is_there ? load_shared_half(scales + place * 2) : __ushort_as_half(0);
          }
          scale[half] = __halves2half2(rest[0], rest[1]);
        }
      }
      // The values are in registers: the producer may fill the stage again.
      __syncwarp();
      if (lane == 0) mbarrier_arrive(ring.empty_at(course.slot));
      if (unit < rows.units) multiply_unit<COLUMNS>(d, nibbles, scale, x, unit, group, quarter, rows.pieces);
    }
    float* const mine = sums.values[turn & 1][warp];
#pragma unroll
    for (u32 i = 0; i < 2; i++) {
      const u32 column = quarter * 2 + i;
      if (column >= COLUMNS) break;
      mine[group * COLUMNS + column] = d[0][i] + d[1][i];
      mine[(group + 8) * COLUMNS + column] = d[0][i + 2] + d[1][i + 2];
    }
    // One barrier a tile: nobody comes back to these sums before everybody has passed the next tile's.
    step_sync();
    // The warps take turns in adding up.
    const u32 index = (threadIdx.x + STEP_THREADS - turn * COLUMNS * 32 % STEP_THREADS) % STEP_THREADS;
    if (index < 16 * COLUMNS)
      store(tile, index, [&](u32 row, u32 column) {
        float total = 0;
#pragma unroll
        for (u32 i = 0; i < STEP_WARPS; i++) total += sums.values[turn & 1][i][row * COLUMNS + column];
        return total;
      });
    turn++;
  }
  course.end_product(product.tiles);
}

// Waits until all blocks have come here: what they wrote before is then seen. The counter's upper bit turns over when the
// last one arrives, so that it needs no reset; `sense` is what it has before.
__device__ __forceinline__ void meet_blocks(u32* counter, u32& sense) {
  step_sync();
  if (threadIdx.x == 0) {
    const u32 amount = blockIdx.x == 0 ? 0x80000000u - (gridDim.x - 1) : 1;
    asm volatile("red.release.gpu.global.add.u32 [%0], %1;" ::"l"(counter), "r"(amount) : "memory");
    u32 now;
    do {
      asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(now) : "l"(counter) : "memory");
    } while (((now ^ sense) & 0x80000000u) == 0);
  }
  sense ^= 0x80000000u;
  step_sync();
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

// The sandwich of norms, by every block for itself: x = rms(hidden + rms(projected) * post) * pre. A thread has eight
// channels. What no other block is about to write is fetched before the blocks meet. Each block writes its share of the
// new residual stream. Without `post`, x = rms(hidden) * pre.
template <u32 COLUMNS>
__device__ __forceinline__ void norm_activations(const StepShape& shape, const StepBuffers& buffers, u32 turn,
                                                 const float4* post, const float4* pre, uint4* x,
                                                 float (*parts)[STEP_WARPS][COLUMNS], u32& sense) {
  const u32 vectors = shape.C / 4, i = threadIdx.x;
  const float4* const hidden = turn % 2 == 0 ? buffers.hidden : buffers.next_hidden;
  float4* const next_hidden = turn % 2 == 0 ? buffers.next_hidden : buffers.hidden;
  const bool is_mine = i < shape.C / 8;
  float stream[COLUMNS][8] = {}, pre_weight[8] = {}, sums[COLUMNS];
  if (is_mine) {
    put_eight(pre_weight, pre[i * 2], pre[i * 2 + 1]);
#pragma unroll
    for (u32 column = 0; column < COLUMNS; column++) {
      if (column >= shape.columns) break;
      const float4* const source = hidden + (size_t)column * vectors + i * 2;
      put_eight(stream[column], __ldcg(source), __ldcg(source + 1));
    }
  }
  if (post) {
    float values[COLUMNS][8] = {}, post_weight[8] = {};
    if (is_mine) put_eight(post_weight, post[i * 2], post[i * 2 + 1]);
    meet_blocks(buffers.barrier, sense);
#pragma unroll
    for (u32 column = 0; column < COLUMNS; column++) {
      sums[column] = 0;
      if (!is_mine || column >= shape.columns) continue;
      const float4* const source = reinterpret_cast<const float4*>(buffers.projected) + (size_t)column * vectors + i * 2;
      put_eight(values[column], __ldcg(source), __ldcg(source + 1));
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
      store_activations<COLUMNS>(x, i, column, out);
    }
  }
  step_sync();
}

// Into how many parts a head's dimensions are shared between warps that look at the same keys: long heads would take
// more registers than there are, and with all of its shared memory in use a multiprocessor has no cache to spill to.
template <int D>
constexpr u32 output_parts = D / 64 > 1 ? D / 64 : 1;

// Keys of a split, and how many splits there are, of a sequence.
template <int D>
struct StepSplits {
  static constexpr u32 UNIT = STEP_WARPS / output_parts<D> * 16;
  u32 share, used;
  __device__ __forceinline__ StepSplits(u32 key_count, u32 most) {
    share = ((key_count + most - 1) / most + UNIT - 1) / UNIT * UNIT;
    used = (key_count + share - 1) / share;
  }
};

// As many splits as give every block at most one.
__device__ __forceinline__ u32 most_splits(const StepShape& shape) {
  return max(min(STEP_SPLITS, gridDim.x / (shape.KV * shape.columns)), 1u);
}

// Volatile, so that nothing is kept in registers for a later round.
__device__ __forceinline__ uint4 load_l2(const uint4* source) {
  uint4 v;
  asm volatile("ld.global.cg.v4.u32 {%0,%1,%2,%3}, [%4];" : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(source) : "memory");
  return v;
}

// Eight dimensions of a head's output from its splits.
template <int D>
__device__ __forceinline__ void join_eight(const StepBuffers& buffers, u32 head, u32 d, u32 used, float out[8]) {
  const float2* const stats = buffers.partial_stats + (size_t)head * STEP_SPLITS;
  const float* const source = buffers.partial_output + (size_t)head * STEP_SPLITS * D + d;
  float best = -3e38f, total = 0;
  for (u32 split = 0; split < used; split++) best = fmaxf(best, __ldcg(stats + split).x);
#pragma unroll
  for (u32 j = 0; j < 8; j++) out[j] = 0;
#pragma unroll 4
  for (u32 split = 0; split < used; split++) {
    const float2 mine = __ldcg(stats + split);
    const float4* const place = reinterpret_cast<const float4*>(source + (size_t)split * D);
    float values[8];
    put_eight(values, __ldcg(place), __ldcg(place + 1));
    const float factor = exp2f(mine.x - best);
    total += mine.y * factor;
#pragma unroll
    for (u32 j = 0; j < 8; j++) out[j] += values[j] * factor;
  }
#pragma unroll
  for (u32 j = 0; j < 8; j++) out[j] /= total;
}

// One split of a sequence's keys for one KV head and its query heads, as `attend_split` in decode.cu does it, with the
// sums of the warps in turns, since shared memory has no room for all of them.
template <int D>
__device__ __forceinline__ void attend_part(const StepShape& shape, const StepBuffers& buffers, const StepLayer& layer,
                                            u32 column, u32 kv, u32 split, u32 most, float* slots,
                                            float (*shared_best)[16], float (*shared_total)[16], u32& shared_flag) {
  constexpr u32 PARTS = output_parts<D>, KEY_WARPS = STEP_WARPS / PARTS, TILES = D / 8 / PARTS, WORDS = TILES / 2;
  const u32 warp = threadIdx.x / 32, lane = threadIdx.x % 32, group = lane / 4, quarter = lane % 4;
  const u32 part = warp / KEY_WARPS, key_warp = warp % KEY_WARPS;
  const u32 heads = shape.H / shape.KV, first_head = column * shape.H + kv * heads;
  const Row* const row = buffers.rows + column;
  const u32 key_count = row->cache_index + 1;
  const StepSplits<D> splits(key_count, most);
  const u32 begin = split * splits.share, end = min(begin + splits.share, key_count);
  if (begin >= key_count) return;
  const size_t cache = ((size_t)row->slot * shape.KV + kv) * shape.context * D;

  float best[2] = {-3e38f, -3e38f}, total[2] = {};
  float output[TILES][4] = {};
  for (u32 first = begin + key_warp * 16; first < end; first += KEY_WARPS * 16) {
    // The values are on their way while the keys are multiplied.
    u32 cells[4][WORDS];
#pragma unroll
    for (u32 i = 0; i < 4; i++) {
      const u32 key = min(first + (i / 2) * 8 + quarter * 2 + i % 2, end - 1);
      const __half* const source = layer.values + cache + (size_t)key * D + group * (D / 8) + part * TILES;
      if constexpr (WORDS == 4) {
        const uint4 v = load_l2(reinterpret_cast<const uint4*>(source));
        cells[i][0] = v.x, cells[i][1] = v.y, cells[i][2] = v.z, cells[i][3] = v.w;
      } else {
        const uint2 v = __ldcg(reinterpret_cast<const uint2*>(source));
        cells[i][0] = v.x, cells[i][1] = v.y;
      }
    }
    float scores[2][4] = {};
    // Queries are read again each time: registers are for the output.
#pragma unroll
    for (u32 i = 0; i < D / 32; i++) {
      const u32 place = quarter * (D / 4) + i * 8;
      uint4 query[2], key[2];
#pragma unroll
      for (u32 tile = 0; tile < 2; tile++) {
        const u32 head = group + tile * 8, index = min(first + tile * 8 + group, end - 1);
        query[tile] = make_uint4(0, 0, 0, 0);
        if (head < heads)
          query[tile] = load_l2(reinterpret_cast<const uint4*>(buffers.q + (size_t)(first_head + head) * D + place));
        key[tile] = load_l2(reinterpret_cast<const uint4*>(layer.keys + cache + (size_t)index * D + place));
      }
#pragma unroll
      for (u32 tile = 0; tile < 2; tile++) {
        mma(scores[tile], query[0].x, query[1].x, query[0].y, query[1].y, key[tile].x, key[tile].y);
        mma(scores[tile], query[0].z, query[1].z, query[0].w, query[1].w, key[tile].z, key[tile].w);
      }
    }
    u32 shares[2][2];
#pragma unroll
    for (int half = 0; half < 2; half++) {
      float largest = best[half];
#pragma unroll
      for (u32 tile = 0; tile < 2; tile++)
#pragma unroll
        for (u32 i = 0; i < 2; i++) {
          float& score = scores[tile][half * 2 + i];
          if (first + tile * 8 + quarter * 2 + i >= end) score = -3e38f;
          largest = fmaxf(largest, score);
        }
      largest = fmaxf(largest, __shfl_xor_sync(~0u, largest, 1));
      largest = fmaxf(largest, __shfl_xor_sync(~0u, largest, 2));
      const float decay = exp2f(best[half] - largest);
      best[half] = largest;
      float sum = 0;
#pragma unroll
      for (u32 tile = 0; tile < 2; tile++) {
        const float low = exp2f(scores[tile][half * 2] - largest), high = exp2f(scores[tile][half * 2 + 1] - largest);
        sum += low + high;
        shares[tile][half] = pack_halves(low, high);
      }
      total[half] = total[half] * decay + sum;
#pragma unroll
      for (u32 tile = 0; tile < TILES; tile++) {
        output[tile][half * 2] *= decay;
        output[tile][half * 2 + 1] *= decay;
      }
    }
    // Tile j holds dimension group * (D / 8) + part * TILES + j.
#pragma unroll
    for (u32 tile = 0; tile < TILES; tile++) {
      const u32 selector = tile % 2 == 0 ? 0x5410 : 0x7632;
      mma(output[tile], shares[0][0], shares[0][1], shares[1][0], shares[1][1],
          __byte_perm(cells[0][tile / 2], cells[1][tile / 2], selector),
          __byte_perm(cells[2][tile / 2], cells[3][tile / 2], selector));
    }
  }
#pragma unroll
  for (int half = 0; half < 2; half++) {
    total[half] += __shfl_xor_sync(~0u, total[half], 1);
    total[half] += __shfl_xor_sync(~0u, total[half], 2);
    if (part == 0 && quarter == 0) {
      shared_best[key_warp][group + half * 8] = best[half];
      shared_total[key_warp][group + half * 8] = total[half];
    }
  }
  step_sync();
#pragma unroll
  for (int half = 0; half < 2; half++) {
    float largest = -3e38f;
#pragma unroll
    for (u32 i = 0; i < KEY_WARPS; i++) largest = fmaxf(largest, shared_best[i][group + half * 8]);
    const float factor = exp2f(best[half] - largest);
#pragma unroll
    for (u32 tile = 0; tile < TILES; tile++) {
      output[tile][half * 2] *= factor;
      output[tile][half * 2 + 1] *= factor;
    }
  }
  for (u32 turn = 0; turn < KEY_WARPS / OUTPUT_SLOTS; turn++) {
    if (key_warp / OUTPUT_SLOTS == turn) {
      float* const slot = slots + (key_warp % OUTPUT_SLOTS) * 16 * D;
#pragma unroll
      for (u32 tile = 0; tile < TILES; tile++)
#pragma unroll
        for (u32 i = 0; i < 4; i++) {
          // The output's columns are the n of B: lane `quarter` has n = quarter * 2 + i % 2, the part of lane group n.
          // Slots lie by tile and part; heads have their tiles in different orders, to use all banks.
          float& place = slot[(group + i / 2 * 8) * D + ((part * TILES + tile) ^ group % (D / 8)) * 8 + quarter * 2 + i % 2];
          place = turn == 0 ? output[tile][i] : place + output[tile][i];
        }
    }
    step_sync();
  }
  for (u32 index = threadIdx.x; index < heads * D; index += STEP_THREADS) {
    const u32 head = index / D, d = index % D;
    const float* const source = slots + head * D + (d % (D / 8) ^ head % 8 % (D / 8)) * 8 + d / (D / 8);
    float sum = 0;
#pragma unroll
    for (u32 i = 0; i < OUTPUT_SLOTS; i++) sum += source[i * 16 * D];
    const size_t place = (size_t)(first_head + head) * STEP_SPLITS + split;
    buffers.partial_output[place * D + d] = sum;
    if (d == 0) {
      float largest = -3e38f, whole = 0;
      for (u32 i = 0; i < KEY_WARPS; i++) largest = fmaxf(largest, shared_best[i][head]);
      for (u32 i = 0; i < KEY_WARPS; i++) whole += shared_total[i][head] * exp2f(shared_best[i][head] - largest);
      buffers.partial_stats[place] = make_float2(largest, whole);
    }
  }
  if (splits.used <= EVERYWHERE_JOINED) return;
  // Whoever is last joins the splits of these heads.
  __threadfence();
  step_sync();
  if (threadIdx.x == 0) {
    u32* const arrivals = buffers.arrivals + column * shape.KV + kv;
    shared_flag = atomicAdd(arrivals, 1) + 1 == splits.used;
    if (shared_flag) *arrivals = 0;
    __threadfence();
  }
  step_sync();
  if (!shared_flag) return;
  for (u32 i = threadIdx.x; i < heads * D / 8; i += STEP_THREADS) {
    const u32 head = first_head + i / (D / 8), d = i % (D / 8) * 8;
    float out[8];
    join_eight<D>(buffers, head, d, splits.used, out);
    reinterpret_cast<uint4*>(buffers.attended + (size_t)head * D + d)[0] =
        make_uint4(pack_halves(out[0], out[1]), pack_halves(out[2], out[3]), pack_halves(out[4], out[5]),
                   pack_halves(out[6], out[7]));
  }
}

// The attention's output as activations.
template <int D, u32 COLUMNS>
__device__ __forceinline__ void load_attended(const StepShape& shape, const StepBuffers& buffers, u32 most, uint4* x) {
  const u32 eights = shape.H * D / 8;
  for (u32 column = 0; column < shape.columns; column++) {
    const u32 used = StepSplits<D>(buffers.rows[column].cache_index + 1, most).used;
    for (u32 i = threadIdx.x; i < eights; i += STEP_THREADS) {
      if (used <= EVERYWHERE_JOINED) {
        float out[8];
        join_eight<D>(buffers, column * shape.H + i / (D / 8), i % (D / 8) * 8, used, out);
        store_activations<COLUMNS>(x, i, column, out);
        continue;
      }
      const uint4 v = __ldcg(reinterpret_cast<const uint4*>(buffers.attended) + (size_t)column * eights + i);
      x[activation_place<COLUMNS>(i / 4, i % 4, column)] =
          make_uint4(__byte_perm(v.x, v.z, 0x5410), __byte_perm(v.x, v.z, 0x7632), __byte_perm(v.y, v.w, 0x5410),
                     __byte_perm(v.y, v.w, 0x7632));
    }
  }
}

// Brings the block's keys and values of a layer closer while the layer's first product runs.
template <int D>
__device__ __forceinline__ void prefetch_cache(const StepShape& shape, const StepBuffers& buffers, const StepLayer& layer,
                                               u32 most) {
  const u32 kv = blockIdx.x / most % shape.KV, column = blockIdx.x / most / shape.KV;
  if (column >= shape.columns) return;
  const Row* const row = buffers.rows + column;
  const u32 key_count = row->cache_index + 1;
  const StepSplits<D> splits(key_count, most);
  const u32 begin = blockIdx.x % most * splits.share, end = min(begin + min(splits.share, StepSplits<D>::UNIT), key_count);
  const size_t cache = ((size_t)row->slot * shape.KV + kv) * shape.context * D;
  for (u32 i = begin * D + threadIdx.x * 64; i < end * D; i += STEP_THREADS * 64) {
    prefetch(layer.keys + cache + i);
    prefetch(layer.values + cache + i);
  }
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
  uint4* const x = shared_memory + STAGES * STAGE_BYTES / 16;
  const u32 width = shape.H * D, qkv_rows = (shape.H + 2 * shape.KV) * D;
  if (threadIdx.x == 0) {
    for (u32 i = 0; i < STAGES; i++) {
      mbarrier_init(ring.full_at(i), 1);
      mbarrier_init(ring.empty_at(i), STAGE_UNITS);
    }
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
  }
  __syncthreads();
  Course<STAGES> course;
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
  const auto store_rows = [&](float* y, u32 N) {
    return [=](u32 tile, u32 index, auto total) {
      const u32 row = index % 16, column = index / 16, n = tile * 16 + row;
      if (column < shape.columns && n < N) y[(size_t)column * N + n] = total(row, column);
    };
  };
  norm_activations<COLUMNS>(shape, buffers, norms, nullptr, layers.items[0].input_norm, x, parts, sense);
  for (u32 i = 0; i < shape.layers; i++) {
    const StepLayer layer = layers.items[i];
    prefetch_cache<D>(shape, buffers, layer, most);
    multiply_tiles<COLUMNS>(ring, course, plain_product(layer.qkv, layer.qkv_scale, shape.C, qkv_rows), x, sums,
                            [&](u32 tile, u32 index, auto total) {
                              const u32 pair = index % 8, column = index / 8, n = tile * 16 + pair * 2;
                              if (column >= shape.columns || n >= qkv_rows) return;
                              rope.store(column, n, total(pair * 2, column), total(pair * 2 + 1, column), layer.qkv_bias,
                                         layer.keys, layer.values);
                            });
    meet_blocks(buffers.barrier, sense);
    for (u32 item = blockIdx.x; item < shape.columns * shape.KV * most; item += gridDim.x) {
      attend_part<D>(shape, buffers, layer, item / most / shape.KV, item / most % shape.KV, item % most, most,
                     reinterpret_cast<float*>(x), shared_best, shared_total, shared_flag);
      step_sync();
    }
    meet_blocks(buffers.barrier, sense);
    load_attended<D, COLUMNS>(shape, buffers, most, x);
    step_sync();
    multiply_tiles<COLUMNS>(ring, course, plain_product(layer.o, layer.o_scale, width, shape.C), x, sums,
                            store_rows(buffers.projected, shape.C));
    norm_activations<COLUMNS>(shape, buffers, norms++, layer.post_attention_norm, layer.pre_mlp_norm, x, parts, sense);
    multiply_tiles<COLUMNS>(ring, course, gated_product(layer.gate_up, layer.gate_up_scale, shape.C, shape.F), x, sums,
                            [&](u32 tile, u32 index, auto total) {
                              const u32 row = index % 8, column = index / 8;
                              if (column >= shape.columns) return;
                              buffers.activated[(size_t)column * shape.F + tile * 8 + row] =
                                  to_half(silu(total(row, column)) * total(row + 8, column));
                            });
    meet_blocks(buffers.barrier, sense);
    load_activations<COLUMNS>(x, buffers.activated, shape.F, shape.columns);
    step_sync();
    multiply_tiles<COLUMNS>(ring, course, plain_product(layer.down, layer.down_scale, shape.F, shape.C), x, sums,
                            store_rows(buffers.projected, shape.C));
    norm_activations<COLUMNS>(shape, buffers, norms++, layer.post_mlp_norm,
                              i + 1 < shape.layers ? layers.items[i + 1].input_norm : final_norm, x, parts, sense);
  }
  multiply_tiles<COLUMNS>(ring, course, plain_product(head, head_scale, shape.C, shape.V), x, sums,
                          store_rows(logits, shape.V));
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
   __half* activated, __half* attended, float* partial_output, float2* partial_stats, u32* arrivals, u32* barrier,   \
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
