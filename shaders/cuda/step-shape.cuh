// What a decode step in one kernel (decode-step.cu) is made of: its warps, its shared memory, a model's layers.
#pragma once
#include "decode.cuh"

// Warps that multiply, and compute all that is no product but the norms of the block's own channels; one more is the producer.
constexpr u32 STEP_WARPS = 16;
constexpr u32 STEP_THREADS = STEP_WARPS * 32;
// Warps that only add up what the others have multiplied, so that those need not meet at a tile's end. They take tiles in
// turn, each with a buffer of its own for the sums.
constexpr u32 STEP_ADDERS = 2;
// With the warp that computes the norms of the block's own channels (step-norm-many.cuh).
constexpr u32 STEP_BLOCK = (STEP_WARPS + 1 + STEP_ADDERS + 1) * 32;
// A stage of the ring: so many units (decode.cu) of two octets of rows, one unit for each warp of half a block; the
// halves take stages in turn.
constexpr u32 STAGE_UNITS = 8;
constexpr u32 UNIT_OCTET = 1024;
constexpr u32 UNIT_SCALES = 128;
constexpr u32 STAGE_OCTET = STAGE_UNITS * UNIT_OCTET;
constexpr u32 STAGE_SCALES = STAGE_UNITS * UNIT_SCALES;
constexpr u32 STAGE_BYTES = 18432;
// The widest row of a product, and of all but `down` where blocks are pairs.
constexpr u32 MOST_K = 13824;
constexpr u32 MOST_NARROW_K = 6912;
// With more sequences two blocks share the rows of `down` (step-pair.cuh).
__device__ constexpr bool has_pairs(u32 columns) { return columns > 2; }
__device__ constexpr u32 most_units(u32 columns) { return (has_pairs(columns) ? MOST_NARROW_K : MOST_K) / 256; }
static_assert(MOST_NARROW_K % 256 == 0 && MOST_NARROW_K * 2 >= MOST_K, "half a row in whole units");
// Activations in shared memory (`Activations`): two digits a value, and a unit's scale.
__device__ constexpr u32 activation_bytes(u32 columns) { return columns * most_units(columns) * (256 * 2 + 4); }
// Keys that attention looks at in a round, eight for each warp.
constexpr u32 ROUND_KEYS = STEP_WARPS * 8;
// Bytes from one head's shares of a round's keys to the next: padded, so that heads lie in different banks.
constexpr u32 SHARE_PITCH = ROUND_KEYS * 2 + 16;
// What attention has in shared memory: a round's values and shares, the queries of up to 16 heads, the new key; then each
// warp's largest score and sum for each head.
constexpr u32 ATTENTION_SUMS = ROUND_KEYS * 128 * 2 + 16 * SHARE_PITCH + 16 * 128 * 2 + 128 * 2;
constexpr u32 ATTENTION_BYTES = ATTENTION_SUMS + 2 * 16 * STEP_WARPS * 4;
constexpr u32 STEP_SPLITS = 64;
constexpr u32 MOST_LAYERS = 64;

// Shared memory by sequences: the ring's stages and the activations, in whose place attention has its values.
constexpr u32 STEP_STAGES_1 = 10;
constexpr u32 STEP_STAGES_2 = 9;
constexpr u32 STEP_STAGES_4 = 9;
constexpr u32 STEP_ACTIVATIONS_1 = 43520;
constexpr u32 STEP_ACTIVATIONS_2 = 55808;
constexpr u32 STEP_ACTIVATIONS_4 = 55808;
constexpr u32 STEP_SHARED_1 = STEP_STAGES_1 * STAGE_BYTES + STEP_ACTIVATIONS_1;
constexpr u32 STEP_SHARED_2 = STEP_STAGES_2 * STAGE_BYTES + STEP_ACTIVATIONS_2;
constexpr u32 STEP_SHARED_4 = STEP_STAGES_4 * STAGE_BYTES + STEP_ACTIVATIONS_4;
static_assert(STEP_ACTIVATIONS_1 >= ATTENTION_BYTES && STEP_ACTIVATIONS_1 >= activation_bytes(1), "one sequence");
static_assert(STEP_ACTIVATIONS_2 >= ATTENTION_BYTES && STEP_ACTIVATIONS_2 >= activation_bytes(2), "two sequences");
static_assert(STEP_ACTIVATIONS_4 >= ATTENTION_BYTES && STEP_ACTIVATIONS_4 >= activation_bytes(4), "four sequences");

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
