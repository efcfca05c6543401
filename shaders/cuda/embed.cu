// Token embeddings, patch embeddings, and the fold of the patch weight.
#include "common.cuh"

constexpr u32 EMBED_THREADS = 512;

// hidden[t] = embedding of rows[t].token, or the image feature row that the token points at.
#define EMBED_TOKENS(FORMAT)                                                                                        \
  KERNEL(embed_tokens__weight_##FORMAT, EMBED_THREADS, 0)                                                           \
  (const void* weight, SCALE_PARAMETER_##FORMAT const Row* rows, const float* features, float* hidden, u32 K,       \
   u32 FIRST_ID, u32 ID_COUNT) {                                                                                    \
    begin_kernel();                                                                                                 \
    const u32 token = rows[blockIdx.x].token;                                                                       \
    const size_t output = (size_t)blockIdx.x * K;                                                                   \
    if (token & IMAGE_FLAG) {                                                                                       \
      const size_t feature = (size_t)(token & ~IMAGE_FLAG) * K;                                                     \
      _Pragma("unroll 1") for (u32 i = threadIdx.x; i < K; i += EMBED_THREADS)                                      \
          hidden[output + i] = features[feature + i];                                                               \
      return;                                                                                                       \
    }                                                                                                               \
    if (token < FIRST_ID || token >= FIRST_ID + ID_COUNT) return;                                                   \
    _Pragma("unroll 1") for (u32 unit = threadIdx.x; unit < K / 8; unit += EMBED_THREADS) {                         \
      float values[8];                                                                                              \
      Weight_##FORMAT::load8(weight, SCALE_ARGUMENT_##FORMAT, token - FIRST_ID, unit, K, values);                   \
      for (int i = 0; i < 8; i++) hidden[output + unit * 8 + i] = values[i];                                        \
    }                                                                                                               \
  }
FOR_EACH_WEIGHT_FORMAT(EMBED_TOKENS)

// Both frames of a still image are equal, so the patch embedding's weights can be added once.
#define FOLD_PATCH_WEIGHT(FORMAT)                                                                                   \
  KERNEL(fold_patch_weight__weight_##FORMAT, 64, 0)                                                                 \
  (const void* weight, SCALE_PARAMETER_##FORMAT float* folded, u32 K, u32 IN, u32 FRAMES, u32 AREA, u32 PADDED,     \
   u32 FIRST_ROW) {                                                                                                 \
    begin_kernel();                                                                                                 \
    const u32 k = blockIdx.x * 64 + threadIdx.x;                                                                    \
    if (k >= PADDED) return;                                                                                        \
    float sum = 0;                                                                                                  \
    if (k < IN * AREA) {                                                                                            \
      for (u32 frame = 0; frame < FRAMES; frame++) {                                                                \
        const u32 source = ((k / AREA) * FRAMES + frame) * AREA + k % AREA;                                         \
        float values[8];                                                                                            \
        Weight_##FORMAT::load8(weight, SCALE_ARGUMENT_##FORMAT, blockIdx.y, source / 8, K, values);                 \
        sum += values[source % 8];                                                                                  \
      }                                                                                                             \
    }                                                                                                               \
    folded[(size_t)(FIRST_ROW + blockIdx.y) * PADDED + k] = sum;                                                    \
  }
FOR_EACH_WEIGHT_FORMAT(FOLD_PATCH_WEIGHT)

__device__ __forceinline__ uint2 patch_place(u32 patch, u32 grid_columns, u32 merge) {
  const u32 block = patch / (merge * merge), inside = patch % (merge * merge), blocks_a_row = grid_columns / merge;
  return make_uint2((block / blocks_a_row) * merge + inside / merge, (block % blocks_a_row) * merge + inside % merge);
}

// Weights of the four bicubic taps (A = -0.75) around a point `t` beyond the second one.
__device__ __forceinline__ void cubic_weights(float t, float out[4]) {
  const float a = -0.75f, far0 = t + 1.0f, far1 = 2.0f - t, near0 = t, near1 = 1.0f - t;
  out[0] = ((a * far0 - 5.0f * a) * far0 + 8.0f * a) * far0 - 4.0f * a;
  out[1] = ((a + 2.0f) * near0 - (a + 3.0f)) * near0 * near0 + 1.0f;
  out[2] = ((a + 2.0f) * near1 - (a + 3.0f)) * near1 * near1 + 1.0f;
  out[3] = ((a * far1 - 5.0f * a) * far1 + 8.0f * a) * far1 - 4.0f * a;
}

__device__ __forceinline__ float table_coordinate(u32 place, u32 count, u32 side) {
  const float normalised = ((float)place + 0.5f) / (float)count * 2.0f - 1.0f;
  return ((normalised + 1.0f) * (float)side - 1.0f) / 2.0f;
}

// hidden[p] = rms(x[p]) * weight + the position table sampled at the patch's place (torch's bicubic grid_sample).
KERNEL(embed_patches, 256, 0)
(const Step* step, const float* x, const float* weight, const float* positions, float* hidden, u32 C, float EPSILON,
 u32 SIDE, u32 MERGE) {
  begin_kernel();
  const u32 patch = blockIdx.x;
  const size_t first = (size_t)patch * C;
  float squares = 0;
  for (u32 i = threadIdx.x; i < C; i += 256) squares += x[first + i] * x[first + i];
  const float scale = rsqrtf(block_sum<256>(squares) / (float)C + EPSILON);
  const uint2 place = patch_place(patch, step->grid_columns, MERGE);
  const float row = table_coordinate(place.x, step->grid_rows, SIDE);
  const float column = table_coordinate(place.y, step->grid_columns, SIDE);
  float row_weights[4], column_weights[4];
  cubic_weights(row - floorf(row), row_weights);
  cubic_weights(column - floorf(column), column_weights);
  const int last = (int)SIDE - 1;
  for (u32 i = threadIdx.x; i < C; i += 256) {
    float sampled = 0;
    for (int r = 0; r < 4; r++) {
      const int table_row = min(max((int)floorf(row) - 1 + r, 0), last);
      float across = 0;
      for (int c = 0; c < 4; c++) {
        const int table_column = min(max((int)floorf(column) - 1 + c, 0), last);
        across += column_weights[c] * positions[(size_t)(table_row * (int)SIDE + table_column) * C + i];
      }
      sampled += row_weights[r] * across;
    }
    hidden[first + i] = x[first + i] * scale * weight[i] + sampled;
  }
}

// The vision tower's 2-D rope: q, k turned by the patch's row and column, k and v laid out as a cache [H, P, D].
// Half-split order: dimensions i and i + D / 2 form a pair; i < D / 4 turns by the row, the rest by the column.
#define ROPE_VISION(CACHE, OUT)                                                                                     \
  KERNEL(rope_vision__cache_##CACHE##__out_##OUT, 128, 0)                                                           \
  (const Step* step, const float* qkv, const float2* rope, Number_##OUT* q, Number_##CACHE* keys,                   \
   Number_##CACHE* values, u32 H, u32 D, u32 MERGE, float Q_SCALE) {                                                \
    begin_kernel();                                                                                                 \
    const u32 half = D / 2, quarter = D / 4;                                                                        \
    const u32 id = blockIdx.x * 128 + threadIdx.x;                                                                  \
    if (id >= 3 * H * half) return;                                                                                 \
    const u32 patch = blockIdx.y, part = id / (H * half), head = (id / half) % H, i = id % half;                    \
    const size_t source = ((size_t)patch * 3 * H + part * H + head) * D + i;                                        \
    float low = qkv[source], high = qkv[source + half];                                                             \
    if (part < 2) {                                                                                                 \
      const uint2 place = patch_place(patch, step->grid_columns, MERGE);                                            \
      const float2 turn = i < quarter ? rope[place.x * quarter + i] : rope[place.y * quarter + i - quarter];        \
      const float turned = low * turn.x - high * turn.y;                                                            \
      high = high * turn.x + low * turn.y;                                                                          \
      low = turned;                                                                                                 \
    }                                                                                                               \
    if (part == 0) {                                                                                                \
      const size_t output = ((size_t)patch * H + head) * D + i;                                                     \
      store_value(q + output, low * Q_SCALE);                                                                       \
      store_value(q + output + half, high * Q_SCALE);                                                               \
      return;                                                                                                       \
    }                                                                                                               \
    Number_##CACHE* target = (part == 1 ? keys : values) + ((size_t)head * step->row_count + patch) * D + i;        \
    store_value(target, low);                                                                                       \
    store_value(target + half, high);                                                                               \
  }
ROPE_VISION(f32, f32)
ROPE_VISION(f16, f32)
ROPE_VISION(f16, f16)

// Adds the qkv bias, turns q and k (pairs of neighbouring dimensions, M-RoPE sections), appends k and v to the cache.
#define ROPE_APPEND(CACHE, OUT)                                                                                     \
  KERNEL(rope_append__cache_##CACHE##__out_##OUT, 128, 0)                                                           \
  (const float2* qkv, const float2* bias, const float2* rope, const Row* rows, Number_##OUT* q,                     \
   Number_##CACHE* keys, Number_##CACHE* values, u32 H, u32 KV, u32 D, u32 ROTARY_PAIRS, u32 TIME_PAIRS,            \
   u32 ROW_PAIRS, u32 CONTEXT, float Q_SCALE) {                                                                     \
    begin_kernel();                                                                                                 \
    const u32 pairs = D / 2, width = (H + 2 * KV) * pairs;                                                          \
    const u32 id = blockIdx.x * 128 + threadIdx.x;                                                                  \
    if (id >= width) return;                                                                                        \
    const Row row = rows[blockIdx.y];                                                                               \
    const u32 head = id / pairs, pair = id % pairs;                                                                 \
    float2 value = qkv[(size_t)blockIdx.y * width + id];                                                            \
    value.x += bias[id].x;                                                                                          \
    value.y += bias[id].y;                                                                                          \
    if (head < H + KV && pair < ROTARY_PAIRS) {                                                                     \
      const u32 axis = pair < TIME_PAIRS ? 0 : pair < TIME_PAIRS + ROW_PAIRS ? 1 : 2;                               \
      const float2 turn = rope[(size_t)row.position[axis] * ROTARY_PAIRS + pair];                                   \
      value = make_float2(value.x * turn.x - value.y * turn.y, value.y * turn.x + value.x * turn.y);                \
    }                                                                                                               \
    if (head < H) {                                                                                                 \
      Number_##OUT* target = q + ((size_t)blockIdx.y * H * pairs + id) * 2;                                         \
      store_value(target, value.x * Q_SCALE);                                                                       \
      store_value(target + 1, value.y * Q_SCALE);                                                                   \
      return;                                                                                                       \
    }                                                                                                               \
    const bool is_key = head < H + KV;                                                                              \
    const u32 kv_head = head - (is_key ? H : H + KV);                                                               \
    Number_##CACHE* target = (is_key ? keys : values) +                                                             \
                             (((size_t)row.slot * KV + kv_head) * CONTEXT + row.cache_index) * D + pair * 2;        \
    store_value(target, value.x);                                                                                   \
    store_value(target + 1, value.y);                                                                               \
  }
ROPE_APPEND(f32, f32)
ROPE_APPEND(f16, f32)
ROPE_APPEND(f16, f16)
