// What blocks of a decode step give each other, without meeting: whoever needs a value looks at its place until it is
// there. To meet costs a fence by whoever wrote, an atomic addition for each block, and a look for the counter before the
// look for the values, 2 to 3 us for what a store and a load do.
//
// Every place is written once a layer, and the lowest bit of what is written is the layer's seal: 0 and 1 in turn. What
// is sealed is written and read by one instruction, so a value with the right seal is whole, and nothing else has to be
// ordered. A place may be written again in the next layer because whoever writes it has received something from every block
// in between, and each block sends that after it has read the place: every block must have a tile of each product. (Of more than
// one sequence, what comes from every block are the sums of squares of its tiles of `o` and `down`. The block's own norms look too,
// in a warp of their own: those that add up wait for its scale before they send what comes behind.)
#pragma once
#include "step-shape.cuh"

// The places, for a number of sequences. All zero at first.
struct StepMail {
  // Layers so far.
  u32* turns;
  // [columns, (H + 2 KV) D] f16: queries, the new keys and values.
  uint4* qkv;
  // [columns, H, STEP_SPLITS, D] f16 and, per split, its largest score and its sum.
  uint4* parts;
  uint2* stats;
  // [columns, H D] f16
  uint4* attended;
  // [columns, F] f16
  uint4* activated;
  // [columns, C] f32: what `o` and `down` give, and the residual streams behind the norms that follow them. Of one sequence,
  // with octets' halves apart (`split_place`). Of more, `stream` is no mail: each block keeps its own channels there, without
  // seals; and `middle` is not used.
  uint4 *projected, *middle;
  uint4 *reduced, *stream;
  // Of more than one sequence, for both of their norms (step-norm-many.cuh): [columns, C] f16, what is added to the stream
  // and what of the stream goes to the norm after it; [C / 16, 4] and [columns, C / 8] f32, sums of squares of tiles, and
  // of blocks' channels.
  uint4 *projected_added, *projected_squares, *middle_normed, *middle_squares;
  uint4 *reduced_added, *reduced_squares, *stream_normed, *stream_squares;
};

#if __CUDA_ARCH__ >= 900

// Where a half of eight channels is: all first halves come before the second ones, so that lanes that follow each other look at
// whole sectors of 32 bytes and none is read twice.
__device__ __forceinline__ u32 split_place(const StepShape& shape, u32 octet, u32 half) { return half * (shape.C / 8) + octet; }

__device__ __forceinline__ u32 sealed(u32 word, u32 seal) { return (word & ~1u) | seal; }

__device__ __forceinline__ u32 opened(u32 word) { return word & ~1u; }

// 16 bytes as one value, in the memory model of PTX too.
__device__ __forceinline__ uint4 look_at_vector(const uint4* place) {
  unsigned long long low, high;
  asm volatile(
      "{\n"
      ".reg .b128 both;\n"
      "ld.relaxed.gpu.global.b128 both, [%2];\n"
      "mov.b128 {%0, %1}, both;\n"
      "}"
      : "=l"(low), "=l"(high)
      : "l"(place)
      : "memory");
  return make_uint4((u32)low, (u32)(low >> 32), (u32)high, (u32)(high >> 32));
}

// Eight f16 values, an octet, with one seal: it takes the lowest bit of the first.
__device__ __forceinline__ void send_octet(uint4* place, uint4 octet, u32 seal) {
  const unsigned long long low = (unsigned long long)octet.y << 32 | sealed(octet.x, seal);
  const unsigned long long high = (unsigned long long)octet.w << 32 | octet.z;
  asm volatile(
      "{\n"
      ".reg .b128 both;\n"
      "mov.b128 both, {%1, %2};\n"
      "st.relaxed.gpu.global.b128 [%0], both;\n"
      "}" ::"l"(place),
      "l"(low), "l"(high)
      : "memory");
}

__device__ __forceinline__ u32 octet_is_missing(uint4 octet, u32 seal) { return (octet.x ^ seal) & 1; }

__device__ __forceinline__ uint4 opened_octet(uint4 octet) { return make_uint4(opened(octet.x), octet.y, octet.z, octet.w); }

__device__ __forceinline__ uint4 receive_octet(const uint4* place, u32 seal) {
  uint4 octet;
  do octet = look_at_vector(place);
  while (octet_is_missing(octet, seal));
  return opened_octet(octet);
}

// By a whole warp, in which four neighbouring lanes have a word each of an octet, or none.
__device__ __forceinline__ void send_words(uint4* place, u32 word, bool is_there, u32 seal) {
  const u32 second = __shfl_down_sync(~0u, word, 1, 4), third = __shfl_down_sync(~0u, word, 2, 4);
  const u32 fourth = __shfl_down_sync(~0u, word, 3, 4);
  if (is_there && threadIdx.x % 4 == 0) send_octet(place, make_uint4(word, second, third, fourth), seal);
}

// Numbers in f32, each with a seal of its own.
__device__ __forceinline__ void send_number(u32* place, float value, u32 seal) {
  asm volatile("st.relaxed.gpu.global.u32 [%0], %1;" ::"l"(place), "r"(sealed(__float_as_uint(value), seal)) : "memory");
}

__device__ __forceinline__ void send_numbers(uint4* place, float4 value, u32 seal) {
  asm volatile("st.relaxed.gpu.global.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(place),
               "r"(sealed(__float_as_uint(value.x), seal)), "r"(sealed(__float_as_uint(value.y), seal)),
               "r"(sealed(__float_as_uint(value.z), seal)), "r"(sealed(__float_as_uint(value.w), seal))
               : "memory");
}

__device__ __forceinline__ uint4 look_at_numbers(const uint4* place) {
  uint4 words;
  asm volatile("ld.relaxed.gpu.global.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(words.x), "=r"(words.y), "=r"(words.z), "=r"(words.w)
               : "l"(place)
               : "memory");
  return words;
}

__device__ __forceinline__ u32 numbers_are_missing(uint4 words, u32 seal) {
  return ((words.x ^ seal) | (words.y ^ seal) | (words.z ^ seal) | (words.w ^ seal)) & 1;
}

__device__ __forceinline__ float4 opened_numbers(uint4 words) {
  return make_float4(__uint_as_float(opened(words.x)), __uint_as_float(opened(words.y)),
                     __uint_as_float(opened(words.z)), __uint_as_float(opened(words.w)));
}

__device__ __forceinline__ void send_pair(uint2* place, float2 value, u32 seal) {
  asm volatile("st.relaxed.gpu.global.v2.u32 [%0], {%1, %2};" ::"l"(place), "r"(sealed(__float_as_uint(value.x), seal)),
               "r"(sealed(__float_as_uint(value.y), seal))
               : "memory");
}

__device__ __forceinline__ uint2 look_at_pair(const uint2* place) {
  uint2 words;
  asm volatile("ld.relaxed.gpu.global.v2.u32 {%0, %1}, [%2];" : "=r"(words.x), "=r"(words.y) : "l"(place) : "memory");
  return words;
}

__device__ __forceinline__ u32 pair_is_missing(uint2 words, u32 seal) { return ((words.x ^ seal) | (words.y ^ seal)) & 1; }

__device__ __forceinline__ float2 opened_pair(uint2 words) {
  return make_float2(__uint_as_float(opened(words.x)), __uint_as_float(opened(words.y)));
}

#endif
