// How the weights of a decode step come into shared memory: a ring of stages, filled far ahead by one thread.
#pragma once
#include "step-pair.cuh"

#if __CUDA_ARCH__ >= 900

__device__ __forceinline__ void mbarrier_init(u32 barrier, u32 count) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(count) : "memory");
}

__device__ __forceinline__ void mbarrier_arrive(u32 barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}

// An arrival behind which so many bytes must come before the present round ends.
__device__ __forceinline__ void mbarrier_expect(u32 barrier, u32 bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes) : "memory");
}

// The bytes without an arrival.
__device__ __forceinline__ void mbarrier_expect_more(u32 barrier, u32 bytes) {
  asm volatile("mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(bytes) : "memory");
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

// The same for what another block of the cluster has written.
__device__ __forceinline__ void mbarrier_wait_cluster(u32 barrier, u32 parity) {
  asm volatile(
      "{\n"
      ".reg .pred done;\n"
      "again: mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 done, [%0], %1;\n"
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

// True for one lane of a whole warp. Where one is chosen in another way, the compiler does not see that it is only one, and each
// bulk copy becomes a loop over lanes.
__device__ __forceinline__ bool is_elected() {
  u32 elected;
  asm volatile(
      "{\n"
      ".reg .pred one;\n"
      "elect.sync _|one, 0xffffffff;\n"
      "selp.u32 %0, 1, 0, one;\n"
      "}"
      : "=r"(elected));
  return elected;
}

// All threads that multiply.
__device__ __forceinline__ void step_sync() { asm volatile("bar.sync 1, %0;" ::"n"(STEP_THREADS) : "memory"); }

// All but the producer.
__device__ __forceinline__ void product_sync() { asm volatile("bar.sync 2, %0;" ::"n"(STEP_BLOCK - 32) : "memory"); }

// The warp of the block's own norms waits until those that add up have passed: to look for what they have not sent yet would
// delay what others look for.
__device__ __forceinline__ void norm_sync() { asm volatile("bar.sync 3, %0;" ::"n"((STEP_ADDERS + 1) * 32) : "memory"); }
__device__ __forceinline__ void pass_norm() { asm volatile("bar.arrive 3, %0;" ::"n"((STEP_ADDERS + 1) * 32) : "memory"); }

// Of more sequences than one, the warps that multiply wait until those that add up have sent the block's own tiles: what looks
// bring would come before them. Two barriers, as who adds up may have no tile of a product: each has a norm between its rounds,
// which nobody passes before the warps that multiply.
constexpr u32 SENT_TO_NORM = 4, SENT_GATED = 5;
template <u32 BARRIER>
__device__ __forceinline__ void sent_sync() {
  asm volatile("bar.sync %0, %1;" ::"n"(BARRIER), "n"((STEP_WARPS + STEP_ADDERS) * 32) : "memory");
}
template <u32 BARRIER>
__device__ __forceinline__ void pass_sent() {
  __syncwarp();
  asm volatile("bar.arrive %0, %1;" ::"n"(BARRIER), "n"((STEP_WARPS + STEP_ADDERS) * 32) : "memory");
}

// A product of a packed weight: tiles of 16 rows, which are two octets.
struct StepProduct {
  const uint4* weight;
  const __half* scales;
  u32 K, tiles;
  // Octets from one tile to the next, and from a tile's first octet to its second.
  u32 stride, second, last;
  // Whether a tile has gates and ups, and whether a pair of blocks has it together.
  bool is_gated, is_shared;
  __device__ __forceinline__ u32 octet(u32 tile, u32 half) const { return min(tile * stride + half * second, last); }
};

__device__ __forceinline__ StepProduct plain_product(const uint4* weight, const __half* scales, u32 K, u32 N,
                                                     bool is_shared = false) {
  return {weight, scales, K, (N + 15) / 16, 2, 1, N / 8 - 1, false, is_shared};
}

// Rows f of the weight are gates, rows F + f ups: a tile has eight of each.
__device__ __forceinline__ StepProduct gated_product(const uint4* weight, const __half* scales, u32 K, u32 F) {
  return {weight, scales, K, F / 8, 1, F / 8, F / 4 - 1, true, false};
}

// Where a block is in the sequence of all tiles of a step: blocks take them in turn, and go on in turn from product to
// product, so that nobody has more to do for long; pairs begin with the same each time. The producer and the warps that compute
// count alike.
template <u32 STAGES>
struct Course {
  u32 first, slot, parity;
  // The producer's stages so far; of a warp that multiplies, its next unit, from the present tile's first on.
  u32 next;
  // Tiles before the present one.
  u32 turn;
  __device__ __forceinline__ Course() : first(blockIdx.x), slot(0), parity(0), next(0), turn(0) {}
  // Of a warp that multiplies: the halves of the block take stages in turn.
  __device__ __forceinline__ void enter() {
    next = threadIdx.x / 32;
    pass_stages(next / STAGE_UNITS);
  }
  // Of the producer.
  __device__ __forceinline__ void end_stage() {
    next++;
    pass_stages(1);
  }
  // At most as many stages as the ring has.
  __device__ __forceinline__ void pass_stages(u32 count) {
    slot += count;
    if (slot >= STAGES) slot -= STAGES, parity ^= 1;
  }
  __device__ __forceinline__ u32 begin(bool is_shared) const { return is_shared ? pair_index() : first; }
  __device__ __forceinline__ u32 step(bool is_shared) const { return is_shared ? pair_count() : gridDim.x; }
  __device__ __forceinline__ void end_product(u32 tiles, bool is_shared) {
    if (!is_shared) first = (first + gridDim.x - tiles % gridDim.x) % gridDim.x;
  }
};

template <u32 STAGES>
struct Ring {
  // Stages that are on their way at a time: with more, what other blocks send comes late, and with fewer the weights do.
  static constexpr u32 IN_FLIGHT = 2;
  // A barrier tells its present round from the one before alone. Who has a stage and goes on to the second behind it may
  // look there before the round before has arrived, unless that was one of those which arrive before a stage is asked for.
  static_assert(STAGES >= IN_FLIGHT + 2, "a half's next stage has the ring's previous round behind it");
  u32 base, full, empty;
  __device__ __forceinline__ u32 stage(u32 slot) const { return base + slot * STAGE_BYTES; }
  __device__ __forceinline__ u32 full_at(u32 slot) const { return full + slot * 8; }
  __device__ __forceinline__ u32 empty_at(u32 slot) const { return empty + slot * 8; }
};

// By the producer, before it asks for a stage: waits until it is free, and until no more of those before are on their way than may be.
template <u32 STAGES>
__device__ __forceinline__ void wait_for_stage(const Ring<STAGES>& ring, const Course<STAGES>& course, bool is_calm) {
  constexpr u32 IN_FLIGHT = Ring<STAGES>::IN_FLIGHT;
  mbarrier_wait(ring.empty_at(course.slot), course.parity ^ 1);
  if (course.next < IN_FLIGHT) return;
  const u32 in_flight = is_calm ? 1 : IN_FLIGHT;
  const bool is_round_before = course.slot < in_flight;
  mbarrier_wait(ring.full_at(course.slot + (is_round_before ? STAGES : 0) - in_flight),
                is_round_before ? course.parity ^ 1 : course.parity);
}

// Streams the block's part of a product into the ring, unit by unit: where a tile ends inside of a stage, the next begins there. But
// only so many stages at a time: a multiprocessor's reads are served in order, so that behind a whole ring on its way the
// activations, which everybody waits for, would come late. The first `calm` stages come one at a time.
template <u32 STAGES>
__device__ __forceinline__ void produce(const Ring<STAGES>& ring, Course<STAGES>& course, const StepProduct& product,
                                        u32 calm, unsigned long long policy) {
  const RowPart part(product.K, product.is_shared);
  const u32 pieces = product.K / 32, begin = part.first * 8, end = min(begin + part.count * 8, pieces);
  // Units that the present stage has room for.
  u32 room = 0;
#pragma unroll 1
  for (u32 tile = course.begin(product.is_shared); tile < product.tiles; tile += course.step(product.is_shared)) {
    const size_t first = (size_t)product.octet(tile, 0) * 8 * pieces, second = (size_t)product.octet(tile, 1) * 8 * pieces;
#pragma unroll 1
    for (u32 piece = begin; piece < end;) {
      const u32 free = room > 0 ? room : STAGE_UNITS;
      const u32 units = min(free, (end - piece + 7) / 8), count = min(units * 8, end - piece) * 8, place = piece * 8;
      const u32 full = ring.full_at(course.slot), before = STAGE_UNITS - free;
      const u32 target = ring.stage(course.slot) + before * UNIT_OCTET;
      const u32 scales = ring.stage(course.slot) + 2 * STAGE_OCTET + before * UNIT_SCALES;
      if (room == 0) {
        wait_for_stage(ring, course, calm > 0);
        calm -= calm > 0;
        room = STAGE_UNITS;
      }
      const bool is_last = units == room;
      if (is_last) mbarrier_expect(full, count * 36);
      else mbarrier_expect_more(full, count * 36);
      copy_bulk(target, product.weight + first + place, count * 16, full, policy);
      copy_bulk(target + STAGE_OCTET, product.weight + second + place, count * 16, full, policy);
      copy_bulk(scales, product.scales + first + place, count * 2, full, policy);
      copy_bulk(scales + STAGE_SCALES, product.scales + second + place, count * 2, full, policy);
      piece += units * 8;
      room -= units;
      if (is_last) course.end_stage();
    }
  }
  if (room > 0) {
    mbarrier_arrive(ring.full_at(course.slot));
    course.end_stage();
  }
  course.end_product(product.tiles, product.is_shared);
}

#endif
