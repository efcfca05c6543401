// A whole decode step in one kernel: one block on every multiprocessor goes through all layers, and blocks give each other
// what they computed as step-mail.cuh says. A kernel for each product costs 4 to 5 us of start, latency and tail; here
// memory hardly rests. One thread of a block, the producer, streams the block's share of all weights of the model into a
// ring in shared memory, far ahead: the weights depend on nothing, so while the others wait for values or compute a norm,
// the ring fills up with what the next product needs.
//
// For GPUs of compute capability 9 and as much shared memory; the kernels of decode.cu are for all others.
#include "step-attention.cuh"
#include "step-norm-many.cuh"

#if __CUDA_ARCH__ >= 900

// What `RopeTarget::store` does, with all loads before the totals, which wait; to `sent`, a column's rows, and keys and values to
// the cache as well, for later steps. By a whole warp, some lanes of which have no rows of their own.
template <typename Total>
__device__ __forceinline__ void send_turned(const RopeTarget& rope, bool is_mine, u32 column, u32 n, const float* bias, __half* keys,
                                            __half* values, Total total, uint4* sent, u32 seal) {
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
  const float2 sums = total();
  const float low = sums.x + added.x, high = sums.y + added.y;
  const u32 word = pack_halves((is_turned ? low * turn.x - high * turn.y : low) * scale,
                               (is_turned ? high * turn.x + low * turn.y : high) * scale);
  send_words(sent + n / 8, word, is_mine, seal);
  if (is_mine && head >= rope.H) *reinterpret_cast<u32*>((is_key ? keys : values) + place + dimension) = word;
}

// The products of a step in their order, each the only one of its code: all of them written out are more instructions than
// a multiprocessor's cache holds. Four a layer, then the head.
enum StepPart : u32 { QKV, O, GATE_UP, DOWN, HEAD };

template <int D, bool HAS_PAIRS>
struct StepProducts {
  const LayerTable& layers;
  const StepShape& shape;
  const uint4* head;
  const __half* head_scale;

  __device__ __forceinline__ u32 count() const { return shape.layers * 4 + 1; }
  __device__ __forceinline__ u32 part(u32 index) const { return index == shape.layers * 4 ? (u32)HEAD : index % 4; }
  // How many stages of a product are on their way one at a time: those that are asked for while blocks wait for each other's
  // queries, parts of attention and norms. Memory has time to spare then, and what is waited for comes behind them.
  __device__ __forceinline__ u32 calm_stages(u32 index) const {
    const u32 at = part(index);
    return at == QKV || at == O ? ~0u : at == GATE_UP ? 4 : 0;
  }
  __device__ __forceinline__ StepProduct at(u32 index) const {
    const StepLayer& layer = layers.items[min(index / 4, shape.layers - 1)];
    switch (part(index)) {
      case QKV:
        return plain_product(layer.qkv, layer.qkv_scale, shape.C, (shape.H + 2 * shape.KV) * D);
      case O:
        return plain_product(layer.o, layer.o_scale, shape.H * D, shape.C);
      case GATE_UP:
        return gated_product(layer.gate_up, layer.gate_up_scale, shape.C, shape.F);
      case DOWN:
        return plain_product(layer.down, layer.down_scale, shape.F, shape.C, HAS_PAIRS);
      default:
        return plain_product(head, head_scale, shape.C, shape.V);
    }
  }
};

// The weights of the norm that follows a layer.
template <typename Products>
__device__ __forceinline__ const float4* norm_after(const Products& products, const float4* final_norm, u32 layer) {
  return layer + 1 < products.shape.layers ? products.layers.items[layer + 1].input_norm : final_norm;
}

// The norm before a product that follows one, or before the first.
template <typename Products>
__device__ __forceinline__ StepNorm norm_before(const Products& products, const StepMail& mail,
                                                const float4* final_norm, u32 index, u32 seal) {
  const StepLayer* const layers = products.layers.items;
  const u32 layer = index / 4;
  if (index == 0) return {nullptr, layers[0].input_norm};
  if (index % 4 == GATE_UP)
    return {layers[layer].post_attention_norm, layers[layer].pre_mlp_norm, mail.projected, mail.middle, seal,
            layer > 0 ? mail.stream : nullptr, seal ^ 1};
  return {layers[layer - 1].post_mlp_norm, norm_after(products, final_norm, layer - 1), mail.reduced, mail.stream, seal ^ 1,
          mail.middle, seal ^ 1};
}

// The same of more than one sequence.
template <typename Products>
__device__ __forceinline__ SharedNorm shared_norm_before(const Products& products, const StepMail& mail,
                                                         const float4* final_norm, u32 index, u32 seal) {
  const StepLayer* const layers = products.layers.items;
  const u32 layer = index / 4, count = products.shape.layers;
  float4* const stream = reinterpret_cast<float4*>(mail.stream);
  if (index % 4 == GATE_UP)
    return {layers[layer].post_attention_norm, mail.projected, mail.projected_added, mail.projected_squares, mail.stream_normed,
            seal, mail.middle_squares, mail.middle_normed, norm_after(products, final_norm, layer), seal, stream};
  return {index > 0 ? layers[layer - 1].post_mlp_norm : nullptr, mail.reduced, mail.reduced_added, mail.reduced_squares,
          mail.middle_normed, seal ^ 1, mail.stream_squares, mail.stream_normed,
          layer < count ? layers[layer].pre_mlp_norm : nullptr, seal, stream};
}

// A tile of `o` or `down` of more than one sequence: a pair of rows of a column, with their weights of the norms. By a whole
// warp, some lanes of which have no column.
__device__ __forceinline__ void send_added(const StepShape& shape, const StepMail& mail, bool is_reduced, u32 tile, u32 pair,
                                           u32 column, bool has_column, float2 post, float2 pre, float2 sums, u32 seal) {
  const u32 place = column * shape.C + tile * 16 + pair * 2;
  const float squares = column_sum(sums.x * sums.x + sums.y * sums.y);
  const float scale = tile_scale(squares, 1);
  send_words((is_reduced ? mail.reduced_added : mail.projected_added) + place / 8,
             pack_halves(sums.x * post.x * pre.x * scale, sums.y * post.y * pre.y * scale), has_column, seal);
  if (!has_column) return;
  if (pair == 0)
    send_number(reinterpret_cast<u32*>((is_reduced ? mail.reduced_squares : mail.projected_squares) + tile) + column, squares,
                seal);
  send_pair(reinterpret_cast<uint2*>(is_reduced ? mail.reduced : mail.projected) + place / 2, sums, seal);
}

// What the warps do that add up: they send a tile's totals to whoever needs them.
template <int D, u32 COLUMNS, u32 STAGES>
__device__ __forceinline__ void add_products(const StepProducts<D, has_pairs(COLUMNS)>& products, const StepMail& mail,
                                             const RopeTarget& rope, Course<STAGES>& course, const TileSums<COLUMNS>& sums,
                                             const PairSums& pair_sums, const NormScales<COLUMNS>& scales,
                                             const float4* final_norm, float* logits, u32 seal) {
  const StepShape& shape = products.shape;
  // A lane's pair of rows of a tile, and its column. Who has none does as the last one, but for what it would send.
  const u32 pair = threadIdx.x % 8;
  const bool has_column = threadIdx.x % 32 / 8 < shape.columns;
  const u32 column = min(threadIdx.x % 32 / 8, shape.columns - 1);
#pragma unroll 1
  for (u32 i = 0; i < products.count(); i++) {
    const StepLayer& layer = products.layers.items[min(i / 4, shape.layers - 1)];
    const u32 part = products.part(i);
    const bool is_normed = COLUMNS > 1 && part % 2 == 0;
    if (COLUMNS > 1 && i == 0) product_sync();
    add_tiles<COLUMNS>(course, products.at(i), sums, [&](u32 tile, auto take) {
      const auto total = [&] {
        float2 sums = take();
        // The tile's place is free, so that products need not wait for the norm.
        if (is_normed) {
          scales.wait(i / 2);
          const float factor = scales.factor[i / 2 % 2][column];
          sums.x *= factor, sums.y *= factor;
        }
        return sums;
      };
      const u32 n = tile * 16 + pair * 2;
      if (part == QKV) {
        const u32 rows = (shape.H + 2 * shape.KV) * D;
        send_turned(rope, has_column && n < rows, column, min(n, rows - 2), layer.qkv_bias, layer.keys, layer.values, total,
                    mail.qkv + column * (rows / 8), seal);
      } else if (part == GATE_UP) {
        const float2 gate_up = total();
        const float value = silu(gate_up.x) * gate_up.y;
        // Two neighbouring lanes have a word of the octet.
        const u32 word = pack_halves(value, __shfl_down_sync(~0u, value, 1, 8));
        const u32 second = __shfl_down_sync(~0u, word, 2, 8), third = __shfl_down_sync(~0u, word, 4, 8);
        const u32 fourth = __shfl_down_sync(~0u, word, 6, 8);
        if (has_column && pair == 0)
          send_octet(mail.activated + column * (shape.F / 8) + tile, make_uint4(word, second, third, fourth), seal);
      } else if (part == HEAD) {
        const float2 sums = total();
        if (has_column && n < shape.V) *reinterpret_cast<float2*>(logits + (size_t)column * shape.V + n) = sums;
      } else if (COLUMNS == 1) {
        const float2 sums = total();
        if (has_column && n < shape.C)
          send_pair(reinterpret_cast<uint2*>((part == O ? mail.projected : mail.reduced) + split_place(shape, n / 8, n / 4 % 2)) +
                        n / 2 % 2,
                    sums, seal);
      } else {
        const float4* const after_down = norm_after(products, final_norm, i / 4);
        const float2 post = reinterpret_cast<const float2*>(part == DOWN ? layer.post_mlp_norm : layer.post_attention_norm)[n / 2];
        const float2 pre = reinterpret_cast<const float2*>(part == DOWN ? after_down : layer.pre_mlp_norm)[n / 2];
        // Here, because a division would take long behind the totals.
        u32 round = has_pairs(COLUMNS) ? tile / pair_count() : 0;
        asm volatile("" : "+r"(round));
        float2 sums = take();
        if (has_pairs(COLUMNS) && part == DOWN) {
          if (!PairSums::is_own(round)) {
            if (has_column) pair_sums.send(round, sums);
            return;
          }
          const float2 other = pair_sums.receive(round, shape.columns, i / 4);
          sums.x += other.x, sums.y += other.y;
        }
        send_added(shape, mail, part == DOWN, tile, pair, column, has_column, post, pre, sums, seal);
      }
    });
    __syncwarp();
    // What the block sends behind this says that its norm has looked at all that it needs.
    if (is_normed) scales.wait(i / 2);
    else if (COLUMNS > 1) pass_norm(), pass_sent<SENT_TO_NORM>();
    if (COLUMNS > 1 && part == GATE_UP) pass_sent<SENT_GATED>();
    if (part == DOWN) seal ^= 1;
  }
}

// The norms of the block's own channels, by a warp of its own, and what the norms behind them need of those channels.
template <u32 COLUMNS, typename Products>
__device__ __forceinline__ void norm_products(const Products& products, const StepMail& mail, NormScales<COLUMNS>& scales,
                                              const float4* hidden, const float4* final_norm, u32 first_seal) {
#pragma unroll 1
  for (u32 i = 0; i < products.count(); i += 2) {
    const SharedNorm norm = shared_norm_before(products, mail, final_norm, i, (first_seal ^ i / 4) & 1);
    if (i == 0) {
      product_sync();
    } else {
      norm_sync();
      norm_own<COLUMNS>(products.shape, norm, scales, i / 2);
    }
    send_own<COLUMNS>(products.shape, norm, i == 0 ? hidden : norm.stream, scales.present[i / 2 % 2]);
    __syncwarp();
  }
}

template <int D, u32 COLUMNS, u32 STAGES>
__device__ __forceinline__ void decode_step(const LayerTable& layers, const StepShape& shape, const StepMail& mail,
                                            const float4* hidden, const RopeTarget& rope, const float4* final_norm,
                                            const uint4* head, const __half* head_scale, float* logits) {
  // The bulk copies and the widest reads take longer where they are not aligned to all banks.
  extern __shared__ __align__(128) uint4 shared_memory[];
  __shared__ unsigned long long barriers[2][STAGES];
  __shared__ unsigned long long tile_sums[TileSums<COLUMNS>::BYTES / 8];
  __shared__ __align__(8) float parts[2][4][STEP_WARPS];
  __shared__ NormScales<COLUMNS> scales;
  __shared__ PairSums pair_sums;
  __shared__ u32 shared_turns;
  __shared__ StepKeys keys[COLUMNS];
  const Ring<STAGES> ring = {shared_address(shared_memory), shared_address(barriers[0]), shared_address(barriers[1])};
  const Activations<COLUMNS> x = {shared_memory + STAGES * STAGE_BYTES / 16};
  const TileSums<COLUMNS> sums = {shared_address(tile_sums)};
  const StepPlaces<COLUMNS, STAGES> places = {ring, shared_address(x.values), shared_address(x.scales()), sums};
  float4(*const attention_sums)[16][STEP_WARPS / 4] =
      reinterpret_cast<float4(*)[16][STEP_WARPS / 4]>(x.values + ATTENTION_SUMS / 16);
  constexpr bool HAS_PAIRS = has_pairs(COLUMNS);
  const StepProducts<D, HAS_PAIRS> products = {layers, shape, head, head_scale};
  if (threadIdx.x == 0) {
    for (u32 i = 0; i < STAGES; i++) {
      mbarrier_init(ring.full_at(i), 1);
      mbarrier_init(ring.empty_at(i), STAGE_UNITS);
    }
    sums.initialize();
    scales.initialize();
    if (HAS_PAIRS) pair_sums.initialize();
    fence_async_proxy();
  }
  if (HAS_PAIRS) pair_sync();
  else __syncthreads();
  Course<STAGES> course;
  if (threadIdx.x >= STEP_THREADS + 32) {
    wait_for_earlier_kernels();
    product_sync();
    const bool is_adder = threadIdx.x < STEP_THREADS + 32 + STEP_ADDERS * 32;
    if (is_adder)
      add_products<D, COLUMNS>(products, mail, rope, course, sums, pair_sums, scales, final_norm, logits, ~shared_turns & 1);
    else if constexpr (COLUMNS > 1)
      norm_products<COLUMNS>(products, mail, scales, hidden, final_norm, ~shared_turns);
    // A block whose shared memory the other still writes to must not end.
    if (HAS_PAIRS) pair_sync();
    return;
  }
  if (threadIdx.x >= STEP_THREADS) {
    if (!is_elected()) return;
    unsigned long long policy;
    asm volatile("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
#pragma unroll 1
    for (u32 i = 0; i < products.count(); i++) produce(ring, course, products.at(i), products.calm_stages(i), policy);
    return;
  }

  wait_for_earlier_kernels();
  if (threadIdx.x == 0) shared_turns = *mail.turns;
  const u32 most = most_splits(shape);
  if (threadIdx.x < shape.columns) keys[threadIdx.x] = StepKeys(rope.rows[threadIdx.x], most);
  product_sync();
  const u32 first_seal = ~shared_turns;
  course.enter();
#pragma unroll 1
  for (u32 i = 0; i < products.count(); i++) {
    const u32 part = products.part(i), seal = (first_seal ^ i / 4) & 1;
    const StepLayer& layer = layers.items[min(i / 4, shape.layers - 1)];
    if (part % 2 == 0) {
      if constexpr (COLUMNS == 1)
        norm_activations(shape, hidden, norm_before(products, mail, final_norm, i, seal), x, parts[0]);
      else if (i == 0)
        norm_tokens<COLUMNS>(shape, hidden, layers.items[0].input_norm, x, parts[0], scales);
      else
        receive_normed<COLUMNS>(shape, shared_norm_before(products, mail, final_norm, i, seal), x, parts[i / 2 % 2], scales,
                                i / 2);
      if (part == QKV) prefetch_cache<D>(shape, keys, layer, most);
    } else {
      if (COLUMNS > 1 && part == DOWN) sent_sync<SENT_GATED>();
      else step_sync();
      if (part == O) {
#pragma unroll 1
        for (u32 item = blockIdx.x; item < shape.columns * shape.KV * most; item += gridDim.x) {
          attend_part<D>(shape, keys, mail, layer, item / most / shape.KV, item / most % shape.KV, item % most,
                         shared_address(x.values), attention_sums[0], attention_sums[1], seal);
          step_sync();
        }
        join_splits<D>(shape, keys, mail, seal);
      }
      receive_activations<COLUMNS>(x, part == O ? mail.attended : mail.activated, part == O ? shape.H * D : shape.F,
                                   HAS_PAIRS && part == DOWN, shape.columns, seal);
      step_sync();
    }
    const StepProduct product = products.at(i);
    course = multiply_tiles<D != 128>(places, course, product.K, product.tiles, product.is_gated, product.is_shared,
                                     shape.columns / 256);
  }
  // All blocks have looked by now: this one received from each of them.
  if (blockIdx.x == 0 && threadIdx.x == 0) *mail.turns = shared_turns + shape.layers;
  if (HAS_PAIRS) pair_sync();
}

#define RUN_DECODE_STEP(SIZE, WIDTH)                                                                                   \
  decode_step<SIZE, WIDTH, STEP_STAGES_##WIDTH>(                                                                       \
      layers, {L, COLUMNS, C, F, V, H, KV, CONTEXT, EPSILON},                                                          \
      {turns, sent_qkv, sent_parts, sent_stats, sent_attended, sent_activated, projected, middle, reduced, stream,     \
       projected_added, projected_squares, middle_normed, middle_squares, reduced_added, reduced_squares,              \
       stream_normed, stream_squares},                                                                                 \
      hidden, {rope, rows, nullptr, H, KV, SIZE, ROTARY_PAIRS, TIME_PAIRS, ROW_PAIRS, CONTEXT, Q_SCALE}, final_norm,   \
      head, head_scale, logits)
#else
#define RUN_DECODE_STEP(SIZE, WIDTH) __trap()
#endif

// A decode step of up to WIDTH sequences from the embedded tokens in `hidden`, [columns, C], to the logits.
#define DECODE_STEP(KIND, SIZE, WIDTH)                                                                                 \
  KIND(decode_step__D_##SIZE##__WIDTH_##WIDTH, STEP_BLOCK, STEP_SHARED_##WIDTH)                                        \
  (const LayerTable layers, const float4* final_norm, const uint4* head, const __half* head_scale,                     \
   const float2* rope, const Row* rows, const float4* hidden, u32* turns, uint4* sent_qkv, uint4* sent_parts,          \
   uint2* sent_stats, uint4* sent_attended, uint4* sent_activated, uint4* projected, uint4* middle, uint4* reduced,    \
   uint4* stream, uint4* projected_added, uint4* projected_squares, uint4* middle_normed, uint4* middle_squares,       \
   uint4* reduced_added, uint4* reduced_squares, uint4* stream_normed, uint4* stream_squares, float* logits, u32 L,    \
   u32 COLUMNS, u32 C, u32 F, u32 V, u32 H, u32 KV, u32 CONTEXT, u32 ROTARY_PAIRS, u32 TIME_PAIRS, u32 ROW_PAIRS,      \
   float EPSILON, float Q_SCALE) {                                                                                     \
    RUN_DECODE_STEP(SIZE, WIDTH);                                                                                      \
  }
DECODE_STEP(KERNEL_TOGETHER, 32, 1)
DECODE_STEP(KERNEL_TOGETHER, 32, 2)
DECODE_STEP(KERNEL_PAIRED, 32, 4)
DECODE_STEP(KERNEL_TOGETHER, 128, 1)
DECODE_STEP(KERNEL_TOGETHER, 128, 2)
DECODE_STEP(KERNEL_PAIRED, 128, 4)
