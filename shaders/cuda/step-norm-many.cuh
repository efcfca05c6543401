// The norms of more sequences than one, which the blocks share: a block that computed all of four for itself would read 128 KB.
//
// Behind each norm pair, a product's input is x = (h + s post p) pre s', where p is what `o` or `down` gives, s and s' come from
// the sums of squares of p and of the new stream. Whoever has a tile of p sends post p pre, in f16 and by a power of two that
// follows from the tile's own sum of squares; whoever owns channels of the stream has sent h pre times the s' before, half a
// layer ago. So all that a product waits for is one more value, and s. The new s' comes later: the sums of the product are
// multiplied by what it is over the one before. What lies in f16 is therefore as many times larger than a norm's output as the
// stream's root of squares has grown since, and post pre below 512: more would be clamped.
#pragma once
#include "step-norm.cuh"

#if __CUDA_ARCH__ >= 900

// A pair of norms of more sequences. All but the weights and the stream are sealed.
struct SharedNorm {
  // Null for the first norm of a step, which has the embedded tokens alone.
  const float4* post;
  const uint4 *projected, *added, *projected_squares;
  // What the stream's owners sent of it before.
  const uint4* normed;
  u32 seal;
  // The sums of squares of the new stream, and what its owners send of it for the next norm; before the head there is no next,
  // and its weights are null.
  uint4 *squares, *next_normed;
  const float4* next_pre;
  u32 next_seal;
  // [columns, C] f32: a block keeps its own channels.
  float4* stream;
};

// By what a norm's columns are multiplied, of the present one and the one before, in turn: 1 over the stream's root of squares,
// and that over the one before, which is in the activations already.
template <u32 COLUMNS>
struct NormScales {
  float present[2][COLUMNS], factor[2][COLUMNS];
  // The sums of squares of what `o` or `down` gave, which the warps that multiply add up for themselves, for the norm's warp.
  float squares[2][COLUMNS];
  // Of even and odd norms, as who waits for one may come after the next is there, but never after the one behind that: a
  // barrier tells its present round from the one before alone.
  unsigned long long there[2], squares_there[2];

  // By one thread.
  __device__ __forceinline__ void initialize() {
    for (u32 i = 0; i < 2; i++) {
      mbarrier_init(shared_address(there + i), 1);
      mbarrier_init(shared_address(squares_there + i), 1);
    }
  }
  // By one thread; of norms behind the first.
  __device__ __forceinline__ void put_squares(u32 turn, const float (&sums)[4]) {
#pragma unroll
    for (u32 column = 0; column < COLUMNS; column++) squares[turn % 2][column] = sums[column];
    mbarrier_arrive(shared_address(squares_there + turn % 2));
  }
  // By a warp.
  __device__ __forceinline__ float wait_for_squares(u32 turn, u32 column) const {
    mbarrier_wait(shared_address(squares_there + turn % 2), (turn - 1) / 2 % 2);
    return squares[turn % 2][min(column, COLUMNS - 1)];
  }
  // `turn`: the norm's index in the step.
  __device__ __forceinline__ void put(u32 turn, u32 column, float scale) {
    present[turn % 2][column] = scale;
    factor[turn % 2][column] = turn > 0 ? __fdividef(scale, present[turn % 2 ^ 1][column]) : 1;
  }
  // By a warp.
  __device__ __forceinline__ void announce(u32 turn) {
    __syncwarp();
    if (threadIdx.x % 32 == 0) mbarrier_arrive(shared_address(there + turn % 2));
  }
  // The first is announced by a meeting of the block.
  __device__ __forceinline__ void wait(u32 turn) const {
    if (turn > 0) mbarrier_wait(shared_address(there + turn % 2), (turn - 1) / 2 % 2);
  }
};

// The power of two by which a tile with such a sum of squares is multiplied: its values are below 128 then.
__device__ __forceinline__ float tile_scale(float squares, int sign) {
  const int half = ((int)(__float_as_uint(squares) >> 23) - 127) >> 1;
  return __uint_as_float((u32)(127 + sign * (6 - half)) << 23);
}

// Sums over the eight lanes that have a column.
__device__ __forceinline__ float column_sum(float value) { return lane_sum<8>(value); }

// True until as many of a vector's numbers are there as come before `count`; the others become zero.
__device__ __forceinline__ u32 take_numbers(uint4& words, u32 count, u32 begin, u32 seal) {
  u32 is_missing = 0;
  if (begin < count) is_missing |= words.x ^ seal;
  if (begin + 1 < count) is_missing |= words.y ^ seal;
  else words.y = 0;
  if (begin + 2 < count) is_missing |= words.z ^ seal;
  else words.z = 0;
  if (begin + 3 < count) is_missing |= words.w ^ seal;
  else words.w = 0;
  return is_missing & 1;
}

// The sum of `count` sealed numbers, by eight lanes of which this is `lane`.
__device__ __forceinline__ float receive_sum(const u32* source, u32 count, u32 lane, u32 seal) {
  // As many looks at once as 132 multiprocessors' numbers need.
  constexpr u32 VECTORS = 5;
  float sum = 0;
#pragma unroll 1
  for (u32 first = lane; first * 4 < count; first += 8 * VECTORS) {
    uint4 words[VECTORS];
    u32 is_missing;
    do {
      is_missing = 0;
#pragma unroll
      for (u32 i = 0; i < VECTORS; i++) {
        const u32 vector = first + i * 8;
        words[i] = make_uint4(0, 0, 0, 0);
        if (vector * 4 < count) words[i] = look_at_numbers(reinterpret_cast<const uint4*>(source) + vector);
      }
#pragma unroll
      for (u32 i = 0; i < VECTORS; i++) {
        const u32 begin = (first + i * 8) * 4;
        if (begin + 4 <= count) is_missing |= numbers_are_missing(words[i], seal);
        else is_missing |= take_numbers(words[i], count, begin, seal);
      }
    } while (is_missing);
#pragma unroll
    for (u32 i = 0; i < VECTORS; i++) {
      const float4 four = opened_numbers(words[i]);
      sum += four.x + four.y + four.z + four.w;
    }
  }
  return column_sum(sum);
}

// True until the columns' sums of squares of a tile are there.
__device__ __forceinline__ u32 squares_are_missing(uint4 words, u32 columns, u32 seal) {
  u32 is_missing = 0;
#pragma unroll
  for (u32 column = 0; column < 4; column++)
    if (column < columns) is_missing |= word_of(words, column) ^ seal;
  return is_missing & 1;
}

// The first norm of a step, of the embedded tokens.
template <u32 COLUMNS>
__device__ __forceinline__ void norm_tokens(const StepShape& shape, const float4* hidden, const float4* pre,
                                            const Activations<COLUMNS>& x, float (*parts)[STEP_WARPS], NormScales<COLUMNS>& scales) {
  const u32 i = threadIdx.x;
  const bool is_mine = i < shape.C / 8;
#pragma unroll 1
  for (u32 column = 0; column < COLUMNS; column++) {
    const float4* const source = hidden + min(column, shape.columns - 1) * (shape.C / 4) + i * 2;
    float values[8] = {}, weight[8] = {};
    if (is_mine) {
      put_eight(values, source[0], source[1]);
      put_eight(weight, pre[i * 2], pre[i * 2 + 1]);
    }
    const float part = warp_sum(square_eight(values));
    if (i % 32 == 0) parts[column][i / 32] = part;
    step_sync();
    float sum = 0;
#pragma unroll
    for (u32 warp = 0; warp < STEP_WARPS; warp++) sum += parts[column][warp];
    const float scale = norm_scale(shape, sum);
    if (i == 0) scales.put(0, column, scale);
#pragma unroll
    for (u32 j = 0; j < 8; j++) values[j] *= scale * weight[j];
    if (has_unit(i, shape.C)) x.store(i, column, values);
  }
  product_sync();
}

// The activations of a product behind a pair of norms, by the warps that multiply: eight channels of each column a thread.
// `turn`: the norm's index in the step.
template <u32 COLUMNS>
__device__ __forceinline__ void receive_normed(const StepShape& shape, const SharedNorm& norm, const Activations<COLUMNS>& x,
                                               float (*parts)[STEP_WARPS], NormScales<COLUMNS>& scales, u32 turn) {
  const u32 octets = shape.C / 8, i = threadIdx.x;
  const bool is_mine = i < octets;
  uint4 before[COLUMNS] = {}, added[COLUMNS] = {}, squares = {};
  const auto look = [&](uint4 (&octet)[COLUMNS], const uint4* source) {
#pragma unroll
    for (u32 column = 0; column < COLUMNS; column++)
      octet[column] = look_at_vector(source + min(column, shape.columns - 1) * octets + i);
  };
  const auto is_missing = [&](const uint4 (&octet)[COLUMNS], u32 seal) {
    u32 missing = 0;
#pragma unroll
    for (u32 column = 0; column < COLUMNS; column++) missing |= octet_is_missing(octet[column], seal);
    return missing;
  };
  if (is_mine) look(before, norm.normed);
  // This block is done with the activations before: they make room.
  sent_sync<SENT_TO_NORM>();
  float sums[4] = {};
  if (is_mine) {
    do {
      look(added, norm.added);
      squares = look_at_numbers(norm.projected_squares + i / 2);
    } while (is_missing(added, norm.seal) | squares_are_missing(squares, shape.columns, norm.seal));
    while (is_missing(before, norm.seal)) look(before, norm.normed);
#pragma unroll
    for (u32 column = 0; column < COLUMNS; column++)
      if (i % 2 == 0) sums[column] = __uint_as_float(opened(word_of(squares, column)));
  }
  sum_four(sums, parts);
  if (i == 0) scales.put_squares(turn, sums);
  scales.wait(turn - 1);
  if (has_unit(i, shape.C))
#pragma unroll
    for (u32 column = 0; column < COLUMNS; column++) {
      const float scale = norm_scale(shape, sums[column]) * scales.present[turn % 2 ^ 1][column];
      const float factor = scale * tile_scale(__uint_as_float(word_of(squares, column)), -1);
      float out[8], more[8];
      floats_of_halves(out, opened_octet(before[column]));
      floats_of_halves(more, opened_octet(added[column]));
#pragma unroll
      for (u32 j = 0; j < 8; j++) out[j] += more[j] * factor;
      x.store(i, column, out);
    }
  step_sync();
}

// The norms of the octets of channels that are the block's own, by a warp of which eight lanes have a column: the new stream,
// its sums of squares, and when all blocks' are there the scale.
template <u32 COLUMNS>
__device__ __forceinline__ void norm_own(const StepShape& shape, const SharedNorm& norm, NormScales<COLUMNS>& scales, u32 turn) {
  const u32 column = threadIdx.x % 32 / 8, lane = threadIdx.x % 8, octets = shape.C / 8;
  const u32 blocks = min(gridDim.x, octets), first = blockIdx.x + lane * gridDim.x;
  const bool has_column = column < shape.columns;
  // The first octet's values come before the sums that they wait for; those of further ones, where there are fewer blocks, behind.
  float stream[8] = {}, weight[8] = {}, values[8] = {};
  const auto receive = [&](u32 octet) {
    const u32 place = (column * octets + octet) * 2;
    put_eight(stream, norm.stream[place], norm.stream[place + 1]);
    put_eight(weight, norm.post[octet * 2], norm.post[octet * 2 + 1]);
    receive_eight(values, norm.projected + place, norm.projected + place + 1, norm.seal);
  };
  if (has_column && first < octets) receive(first);
  __syncwarp();
  const float scale = norm_scale(shape, scales.wait_for_squares(turn, column));
  float sum = 0;
#pragma unroll 1
  for (u32 octet = first; has_column && octet < octets; octet += 8 * gridDim.x) {
    const u32 place = (column * octets + octet) * 2;
    if (octet != first) receive(octet);
#pragma unroll
    for (u32 j = 0; j < 8; j++) {
      stream[j] += values[j] * scale * weight[j];
      sum += stream[j] * stream[j];
    }
    norm.stream[place] = make_float4(stream[0], stream[1], stream[2], stream[3]);
    norm.stream[place + 1] = make_float4(stream[4], stream[5], stream[6], stream[7]);
  }
  sum = column_sum(sum);
  u32* const squares = reinterpret_cast<u32*>(norm.squares) + column * octets;
  if (has_column && lane == 0 && blockIdx.x < blocks) send_number(squares + blockIdx.x, sum, norm.seal);
  const float whole = receive_sum(squares, has_column ? blocks : 0, lane, norm.seal);
  if (lane == 0 && column < COLUMNS) scales.put(turn, column, norm_scale(shape, whole));
  scales.announce(turn);
}

// What the next norm needs of the block's own channels.
template <u32 COLUMNS>
__device__ __forceinline__ void send_own(const StepShape& shape, const SharedNorm& norm, const float4* stream,
                                         const float (&present)[COLUMNS]) {
  const u32 lane = threadIdx.x % 32, column = lane / 8, octets = shape.C / 8;
  if (!norm.next_pre || column >= shape.columns) return;
#pragma unroll 1
  for (u32 octet = blockIdx.x + lane % 8 * gridDim.x; octet < octets; octet += 8 * gridDim.x) {
    const u32 place = (column * octets + octet) * 2;
    const float4 low = stream[place], high = stream[place + 1];
    float values[8], weight[8];
    put_eight(values, low, high);
    put_eight(weight, norm.next_pre[octet * 2], norm.next_pre[octet * 2 + 1]);
    if (!norm.post) norm.stream[place] = low, norm.stream[place + 1] = high;
#pragma unroll
    for (u32 j = 0; j < 8; j++) values[j] *= present[column] * weight[j];
    send_octet(norm.next_normed + column * octets + octet, octet_of(values), norm.next_seal);
  }
}

#endif
