// What both forms of the decode step share: the layout of packed weights, and where the rows of qkv go.
#pragma once
#include "mma.cuh"

// 4-bit weights as the products read them. Eight rows, an octet, keep their place in memory; inside it, a unit of 8
// pieces of 32 values along K lies together, by word of 8 values: [piece / 4][row][word][piece % 4] for the nibbles,
// [row][piece % 4][piece / 4] for the scales. What is left of K after whole units follows as [row][piece], but for the nibbles
// of four pieces, which are the first half of a unit.
struct PackedRows {
  u32 pieces, full, rest, units;
  __device__ __forceinline__ PackedRows(u32 K)
      : pieces(K / 32), full(K / 32 / 8), rest(K / 32 % 8), units((K / 32 + 7) / 8) {}
  __device__ __forceinline__ u32 word_place(u32 row, u32 piece, u32 word) const {
    const u32 unit = piece / 8, inside = piece % 8;
    if (unit >= full && rest != 4) return (full * 64 + row * rest + inside) * 4 + word;
    return (unit * 64 + inside / 4 * 32 + row * 4 + word) * 4 + inside % 4;
  }
  __device__ __forceinline__ u32 scale_place(u32 row, u32 piece) const {
    const u32 unit = piece / 8, inside = piece % 8;
    if (unit >= full) return full * 64 + row * rest + inside;
    return unit * 64 + (row * 4 + inside % 4) * 2 + inside / 4;
  }
};

__device__ __forceinline__ u32 word_of(uint4 vector, int index) {
  return index == 0 ? vector.x : index == 1 ? vector.y : index == 2 ? vector.z : vector.w;
}

// The lower or upper half of a word, twice.
__device__ __forceinline__ __half2 half_twice(u32 word, u32 upper) {
  const u32 bits = __byte_perm(word, word, upper ? 0x3232 : 0x1010);
  return *reinterpret_cast<const __half2*>(&bits);
}

// Where the qkv product's rows go: with bias and M-RoPE to q, in f16 times Q_SCALE, or to the KV cache.
struct RopeTarget {
  const float2* rope;
  const Row* rows;
  __half* q;
  u32 H, KV, D, ROTARY_PAIRS, TIME_PAIRS, ROW_PAIRS, CONTEXT;
  float Q_SCALE;

  // Rows n and n + 1 of a column.
  __device__ __forceinline__ void store(u32 column, u32 n, float low, float high, const float* bias, __half* keys,
                                        __half* values) const {
    low += bias[n];
    high += bias[n + 1];
    const Row* const row = rows + column;
    const u32 head = n / D, dimension = n % D, pair = dimension / 2;
    if (head < H + KV && pair < ROTARY_PAIRS) {
      const u32 axis = pair < TIME_PAIRS ? 0 : pair < TIME_PAIRS + ROW_PAIRS ? 1 : 2;
      const float2 turn = rope[(size_t)row->position[axis] * ROTARY_PAIRS + pair];
      const float turned = low * turn.x - high * turn.y;
      high = high * turn.x + low * turn.y;
      low = turned;
    }
    u32* target;
    if (head < H) {
      low *= Q_SCALE;
      high *= Q_SCALE;
      target = reinterpret_cast<u32*>(q + (size_t)column * H * D + n);
    } else {
      const bool is_key = head < H + KV;
      const size_t place = (((size_t)row->slot * KV + head - (is_key ? H : H + KV)) * CONTEXT + row->cache_index) * D;
      target = reinterpret_cast<u32*>((is_key ? keys : values) + place + dimension);
    }
    *target = pack_halves(low, high);
  }
};
