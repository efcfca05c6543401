// Two tiles of a decode step's product on the CPU: 512 threads are the lanes of a block's 16 warps and run
// shaders/cuda/step-product.cuh as it stands, but for what is a single instruction of the GPU, which step-product.test.ts
// replaces by the functions here. The weights are packed and staged as pack_q4 and the step's producer do it; memory that
// nobody should use is full of NaNs.
//
// Prints, for each case, its error over the largest that rounding can make.
#include <cuda_fp16.h>
#include <vector_functions.h>
#include <vector_types.h>

#include <algorithm>
#include <barrier>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <thread>
#include <vector>

using std::max;
using std::min;
typedef unsigned int u32;
constexpr u32 THREADS = 512, WARP = 32;

struct Index {
  u32 x, y, z;
};
static thread_local Index threadIdx;
// One block, or one of a pair.
static Index blockIdx = {0, 0, 0}, gridDim = {1, 1, 1};

// The block's shared memory, whose addresses are places in it.
static std::vector<unsigned char> shared_bytes;

// What the lanes of a warp give each other.
static struct {
  std::barrier<> meeting{WARP};
  struct {
    u32 a[4], b[2], word;
  } lane[WARP];
} warps[THREADS / WARP];

static auto& my_warp() { return warps[threadIdx.x / WARP]; }
static void __syncwarp() { my_warp().meeting.arrive_and_wait(); }

static int signed_byte(u32 word, int index) { return (signed char)(word >> (8 * index)); }

// mma.m16n8k32 of signed bytes, by the places of its operands that PTX's manual gives.
static void host_multiply_bytes(int d[4], u32 a0, u32 a1, u32 a2, u32 a3, u32 b0, u32 b1) {
  auto& warp = my_warp();
  const u32 lane = threadIdx.x % WARP, group = lane / 4, quarter = lane % 4;
  warp.lane[lane] = {{a0, a1, a2, a3}, {b0, b1}, 0};
  __syncwarp();
  for (u32 row = 0; row < 2; row++) {
    for (u32 i = 0; i < 2; i++) {
      const u32 column = quarter * 2 + i;
      int sum = 0;
      for (u32 k = 0; k < 32; k++) {
        const u32 half = k / 16, holder = k % 16 / 4;
        sum += signed_byte(warp.lane[group * 4 + holder].a[half * 2 + row], k % 4) *
               signed_byte(warp.lane[column * 4 + holder].b[half], k % 4);
      }
      d[row * 2 + i] = sum;
    }
  }
  __syncwarp();
}

static u32 __reduce_max_sync(u32, u32 value) {
  auto& warp = my_warp();
  warp.lane[threadIdx.x % WARP].word = value;
  __syncwarp();
  u32 most = 0;
  for (const auto& lane : warp.lane) most = max(most, lane.word);
  __syncwarp();
  return most;
}

static u32 __byte_perm(u32 low, u32 high, u32 selector) {
  const unsigned long long both = (unsigned long long)high << 32 | low;
  u32 result = 0;
  for (u32 i = 0; i < 4; i++) result |= (u32)(both >> (8 * (selector >> (4 * i) & 7)) & 255) << (8 * i);
  return result;
}

static float __uint_as_float(u32 bits) {
  float value;
  memcpy(&value, &bits, 4);
  return value;
}
static u32 __float_as_uint(float value) {
  u32 bits;
  memcpy(&bits, &value, 4);
  return bits;
}

static u32 __shfl_sync(u32, u32 value, u32 source) {
  auto& warp = my_warp();
  warp.lane[threadIdx.x % WARP].word = value;
  __syncwarp();
  const u32 other = warp.lane[source].word;
  __syncwarp();
  return other;
}

static float __shfl_xor_sync(u32 lanes, float value, u32 mask) {
  return __uint_as_float(__shfl_sync(lanes, __float_as_uint(value), threadIdx.x % WARP ^ mask));
}

// Named in the headers, and not reached from a product.
static void __syncthreads() { abort(); }
static float rsqrtf(float) { abort(); }
static float __fdividef(float, float) { abort(); }
static __half2 __hfma2(__half2, __half2, __half2) { abort(); }
template <typename T>
static T __shfl_down_sync(u32, T, u32, int = 0) { abort(); }
template <typename T>
static T __shfl_xor_sync(u32, T, u32) { abort(); }

#undef __noinline__
#define __noinline__
#define __CUDA_ARCH__ 900
#include "step-product.cuh"

// Two tiles, each of two octets; of gates and ups, the octets of gates come first.
constexpr u32 TILES = 2, ROWS = TILES * 16;
static u32 octet_of_tile(u32 tile, u32 half, bool is_gated) { return is_gated ? half * TILES + tile : tile * 2 + half; }

// ROWS rows of K weights as numbers and as they lie in memory, packed.
struct Weights {
  const u32 pieces;
  const PackedRows rows;
  std::vector<int> nibbles;
  std::vector<__half> scales;
  std::vector<u32> packed;
  std::vector<__half> packed_scales;

  Weights(u32 K, std::mt19937& random)
      : pieces(K / 32),
        rows(K),
        nibbles(ROWS * K),
        scales(ROWS * pieces),
        packed(nibbles.size() / 8),
        packed_scales(scales.size()) {
    for (int& nibble : nibbles) nibble = random() % 16;
    for (__half& scale : scales) scale = __float2half(0.004f + 0.004f * (random() % 1000) / 1000);
    std::vector<bool> is_taken(packed.size());
    for (u32 row = 0; row < ROWS; row++) {
      const u32 octet = row / 8 * 8 * pieces;
      for (u32 piece = 0; piece < pieces; piece++) {
        packed_scales[octet + rows.scale_place(row % 8, piece)] = scales[row * pieces + piece];
        for (u32 word = 0; word < 4; word++) {
          const u32 place = octet * 4 + rows.word_place(row % 8, piece, word);
          if (place >= packed.size() || is_taken[place]) abort();
          is_taken[place] = true;
          for (u32 j = 0; j < 8; j++) packed[place] |= (u32)nibbles[row * K + piece * 32 + word * 8 + j] << (4 * j);
        }
      }
    }
  }

  // The block's part into the ring, unit by unit, as the producer's copies: tiles follow each other without a gap.
  void stage(const RowPart& part, bool is_gated) const {
    for (u32 i = 0; i < TILES * part.count; i++) {
      const u32 piece = (part.first + i % part.count) * 8, count = min(8u, pieces - piece) * 8;
      unsigned char* const stage = shared_bytes.data() + i / STAGE_UNITS * STAGE_BYTES;
      for (u32 half = 0; half < 2; half++) {
        const u32 first = octet_of_tile(i / part.count, half, is_gated) * 8 * pieces + piece * 8;
        memcpy(stage + half * STAGE_OCTET + i % STAGE_UNITS * UNIT_OCTET, packed.data() + first * 4, count * 16);
        memcpy(stage + 2 * STAGE_OCTET + half * STAGE_SCALES + i % STAGE_UNITS * UNIT_SCALES, packed_scales.data() + first,
               count * 2);
      }
    }
  }

  double value(u32 K, u32 row, u32 k) const {
    return (nibbles[row * K + k] - 7) * (double)__half2float(scales[row * pieces + k / 32]);
  }
};

// What one block has of the totals of the tiles: [row][column].
template <bool ANY_REST, u32 COLUMNS>
static std::vector<float> multiply(u32 K, const Weights& weights, const std::vector<float>& x, bool is_gated, bool is_shared) {
  // As many as the widest rows have.
  constexpr u32 STAGES = 14, VALUES = STAGES * STAGE_BYTES, SUMS = VALUES + activation_bytes(COLUMNS);
  shared_bytes.assign(SUMS + TileSums<COLUMNS>::BYTES, 0xff);
  const RowPart part(K, is_shared);
  weights.stage(part, is_gated);
  const Activations<COLUMNS> activations = {reinterpret_cast<uint4*>(shared_bytes.data() + VALUES)};
  const TileSums<COLUMNS> sums = {SUMS};
  const StepPlaces<COLUMNS, STAGES> places = {{0, 0, 0}, VALUES, shared_address(activations.scales()), sums};
  std::vector<float> totals(ROWS * COLUMNS);
  std::barrier<> stored(THREADS), multiplied(THREADS);
  std::vector<std::thread> threads;
  for (u32 thread = 0; thread < THREADS; thread++) {
    threads.emplace_back([&, thread] {
      threadIdx = {thread, 0, 0};
      for (u32 eight = thread; eight < part.count * 32; eight += THREADS) {
        for (u32 column = 0; column < COLUMNS; column++) {
          float values[8] = {};
          const u32 first = (part.first_octet + eight) * 8;
          for (u32 j = 0; j < 8 && first + j < K; j++) values[j] = x[column * K + first + j];
          activations.store(eight, column, values);
        }
      }
      stored.arrive_and_wait();
      Course<STAGES> course;
      course.enter();
      course = multiply_tiles<ANY_REST>(places, course, K, TILES, is_gated, is_shared, 0);
      // Where the next product begins: each warp of the block has one of its first units.
      const u32 stages = (TILES * part.count + STAGE_UNITS - 1) / STAGE_UNITS;
      if (course.next / STAGE_UNITS != (stages + thread / (THREADS / 2)) % 2) abort();
      if (course.slot != (stages + course.next / STAGE_UNITS) % STAGES) abort();
      multiplied.arrive_and_wait();
      if (thread >= WARP) return;
      for (u32 tile = 0; tile < TILES; tile++) {
        const float2 total = sums.take(tile);
        const u32 pair = thread % 8, column = thread / 8;
        if (column >= COLUMNS) continue;
        const u32 low = is_gated ? pair : pair * 2, high = is_gated ? pair + 8 : pair * 2 + 1;
        totals[(octet_of_tile(tile, low / 8, is_gated) * 8 + low % 8) * COLUMNS + column] = total.x;
        totals[(octet_of_tile(tile, high / 8, is_gated) * 8 + high % 8) * COLUMNS + column] = total.y;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return totals;
}

// The largest error of the totals over the largest that rounding can make.
template <u32 COLUMNS>
static double worst_error(u32 K, const Weights& weights, const std::vector<float>& x, const std::vector<float>& totals) {
  double worst = 0;
  for (u32 row = 0; row < ROWS; row++) {
    for (u32 column = 0; column < COLUMNS; column++) {
      double wanted = 0, bound = 0;
      for (u32 unit = 0; unit * 256 < K; unit++) {
        double most = 0, weight = 0;
        for (u32 k = unit * 256; k < min(K, unit * 256 + 256); k++) {
          const double product = weights.value(K, row, k) * x[column * K + k];
          wanted += product;
          weight += fabs(weights.value(K, row, k));
          most = max(most, (double)fabsf(x[column * K + k]));
          // f32, in which pieces and units are added up.
          bound += fabs(product) * 1e-6;
        }
        // Half a step of 16 bits for each value.
        bound += weight * most / (2 * 127 * 256);
      }
      // NaN is worse than all.
      const double error = fabs(totals[row * COLUMNS + column] - wanted) / bound;
      if (!(error <= worst)) worst = error;
    }
  }
  return worst;
}

template <bool ANY_REST, u32 COLUMNS>
static void run(u32 K, bool is_gated, u32 blocks) {
  std::mt19937 random(K);
  const Weights weights(K, random);
  std::normal_distribution<float> normal;
  std::vector<float> x(COLUMNS * K), totals(ROWS * COLUMNS);
  for (float& value : x) value = normal(random);
  gridDim.x = blocks;
  for (blockIdx.x = 0; blockIdx.x < blocks; blockIdx.x++) {
    const std::vector<float> part = multiply<ANY_REST, COLUMNS>(K, weights, x, is_gated, blocks > 1);
    for (u32 i = 0; i < part.size(); i++) totals[i] += part[i];
  }
  printf("%s %u %u %d %u %g\n", ANY_REST ? "any" : "half", COLUMNS, blocks, is_gated, K,
         worst_error<COLUMNS>(K, weights, x, totals));
}

template <bool ANY_REST>
static void run_all(std::initializer_list<u32> widths) {
  for (const u32 K : widths) {
    run<ANY_REST, 1>(K, false, 1);
    run<ANY_REST, 2>(K, false, 1);
    // A row that only pairs of blocks have room for is run by them alone.
    if (K <= MOST_NARROW_K) run<ANY_REST, 4>(K, false, 1);
    run<ANY_REST, 4>(K, false, 2);
    run<ANY_REST, 1>(K, true, 1);
    if (K <= MOST_NARROW_K) run<ANY_REST, 4>(K, true, 1);
  }
}

int main() {
  run_all<false>({128, 256, 384, 4096, 13696, 13824});
  run_all<true>({32, 64, 96, 128, 160, 352, 384, 704, 4096, 13696});
}
