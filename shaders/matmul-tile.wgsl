// y[t, n] = sum over k of x[t, k] * weight[n, k], accumulated in f32: matmul.wgsl with larger tiles, for GPUs. Tiles of
// 128 rows x 64 outputs x 16 along K: each of the 128 invocations keeps 8 x 8 sums, so that four vectors from workgroup
// memory feed 64 products. The next step's operands are on their way from memory while this one is computed, into the
// other half of the tiles; loads stand in no branch, which would wait for them. The steps along K are written out, because
// the compiler of a driver did not unroll the loop.
// The tiles take 24 KiB: drivers have been seen to share out 48 KiB of a processor, so that two workgroups run at once and
// one multiplies while the other waits.
// Needs N to be a multiple of 4 and K of 16. Rows past the last one repeat it and are not stored.

override K: u32;
override N: u32;
override Y_STRIDE: u32;
override Y_OFFSET: u32 = 0u;

@group(0) @binding(0) var<storage, read> x: array<vec4f>;

const DEPTH = 16u;
// Groups of four neighbouring rows, and outputs, of a tile.
const X_QUADS = 32u;
const W_QUADS = 16u;
// [2][DEPTH][X_QUADS] and [2][DEPTH][W_QUADS] with four neighbouring rows (or outputs) in a vec4. A quad's place is turned
// by k / 4, so that the lanes that fill different k at once hit different banks. Remainders by constants keep indices in
// bounds where the compiler can see it, which spares a comparison an access.
var<workgroup> x_tile: array<vec4f, 2u * DEPTH * X_QUADS>;
var<workgroup> w_tile: array<vec4f, 2u * DEPTH * W_QUADS>;

// What an invocation brings from memory for a step: four k of four rows, 32 apart, and eight k of an output.
struct Stage {
  rows: array<vec4f, 4>,
  weights: mat2x4f,
}

fn fetch(first_row: u32, first_n: u32, k: u32, index: u32) -> Stage {
  let last = step.row_count - 1u;
  let row = first_row + index / 4u;
  let k_quad = k / 4u + index % 4u;
  return Stage(
    array<vec4f, 4>(
      x[min(row, last) * (K / 4u) + k_quad],
      x[min(row + 32u, last) * (K / 4u) + k_quad],
      x[min(row + 64u, last) * (K / 4u) + k_quad],
      x[min(row + 96u, last) * (K / 4u) + k_quad],
    ),
    weight8(min(first_n + index / 2u, N - 1u), k / 8u + index % 2u),
  );
}

fn put_row(values: vec4f, place: u32, lane: u32) {
  x_tile[place][lane] = values.x;
  x_tile[place + X_QUADS][lane] = values.y;
  x_tile[place + 2u * X_QUADS][lane] = values.z;
  x_tile[place + 3u * X_QUADS][lane] = values.w;
}

fn put(stage: ptr<function, Stage>, half: u32, index: u32) {
  let row = (index / 4u) % 32u;
  let x_place = (half % 2u) * DEPTH * X_QUADS + index % 4u * 4u * X_QUADS + ((row / 4u) ^ (index % 4u * 2u)) % 8u;
  put_row((*stage).rows[0], x_place, row % 4u);
  put_row((*stage).rows[1], x_place + 8u, row % 4u);
  put_row((*stage).rows[2], x_place + 16u, row % 4u);
  put_row((*stage).rows[3], x_place + 24u, row % 4u);
  let output = (index / 2u) % 64u;
  let w_place = (half % 2u) * DEPTH * W_QUADS + index % 2u * 8u * W_QUADS;
  let w_low = w_place + ((output / 4u) ^ (index % 2u * 4u)) % W_QUADS;
  let w_high = w_place + ((output / 4u) ^ (index % 2u * 4u + 2u)) % W_QUADS;
  w_tile[w_low][output % 4u] = (*stage).weights[0].x;
  w_tile[w_low + W_QUADS][output % 4u] = (*stage).weights[0].y;
  w_tile[w_low + 2u * W_QUADS][output % 4u] = (*stage).weights[0].z;
  w_tile[w_low + 3u * W_QUADS][output % 4u] = (*stage).weights[0].w;
  w_tile[w_high + 4u * W_QUADS][output % 4u] = (*stage).weights[1].x;
  w_tile[w_high + 5u * W_QUADS][output % 4u] = (*stage).weights[1].y;
  w_tile[w_high + 6u * W_QUADS][output % 4u] = (*stage).weights[1].z;
  w_tile[w_high + 7u * W_QUADS][output % 4u] = (*stage).weights[1].w;
}

// Sums of four rows by eight outputs: a vector for each row and half.
struct Sums {
  a0: vec4f, a1: vec4f, b0: vec4f, b1: vec4f, c0: vec4f, c1: vec4f, d0: vec4f, d1: vec4f,
}

fn add_outer(sums: ptr<function, Sums>, rows: vec4f, outputs0: vec4f, outputs1: vec4f) {
  (*sums).a0 = fma(vec4f(rows.x), outputs0, (*sums).a0);
  (*sums).a1 = fma(vec4f(rows.x), outputs1, (*sums).a1);
  (*sums).b0 = fma(vec4f(rows.y), outputs0, (*sums).b0);
  (*sums).b1 = fma(vec4f(rows.y), outputs1, (*sums).b1);
  (*sums).c0 = fma(vec4f(rows.z), outputs0, (*sums).c0);
  (*sums).c1 = fma(vec4f(rows.z), outputs1, (*sums).c1);
  (*sums).d0 = fma(vec4f(rows.w), outputs0, (*sums).d0);
  (*sums).d1 = fma(vec4f(rows.w), outputs1, (*sums).d1);
}

fn store_row(row: u32, n: u32, left: vec4f, right: vec4f) {
  if (row >= step.row_count) {
    return;
  }
  if (n < N) {
    store_quad(row, n, left);
  }
  if (n + 32u < N) {
    store_quad(row, n + 32u, right);
  }
}

fn store_sums(row: u32, n: u32, sums: Sums) {
  store_row(row, n, sums.a0, sums.a1);
  store_row(row + 1u, n, sums.b0, sums.b1);
  store_row(row + 2u, n, sums.c0, sums.c1);
  store_row(row + 3u, n, sums.d0, sums.d1);
}

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) index: u32) {
  let first_row = workgroup.x * 128u;
  let first_n = workgroup.y * 64u;
  // 32 neighbouring invocations cover 4 x 8 blocks, which reads the fewest different vectors.
  let line = ((index / 32u) * 4u + (index % 32u) / 8u) % 16u;
  let column = index % 8u;
  // Rows 4 line .. + 3 and 64 on, by outputs 4 column .. + 3 and 32 on.
  var low = Sums();
  var high = Sums();
  var stage = fetch(first_row, first_n, 0u, index);
  put(&stage, 0u, index);
  workgroupBarrier();
  for (var k = 0u; k < K; k += DEPTH) {
    let half = k / DEPTH;
    stage = fetch(first_row, first_n, min(k + DEPTH, K - DEPTH), index);
    let first_x = (half % 2u) * DEPTH * X_QUADS;
    let first_w = (half % 2u) * DEPTH * W_QUADS;
    {
      let a = first_x + line;
      let b = first_w + column;
      add_outer(&low, x_tile[a], w_tile[b], w_tile[b + 8u]);
      add_outer(&high, x_tile[a + 16u], w_tile[b], w_tile[b + 8u]);
      add_outer(&low, x_tile[a + 32u], w_tile[b + 16u], w_tile[b + 24u]);
      add_outer(&high, x_tile[a + 48u], w_tile[b + 16u], w_tile[b + 24u]);
      add_outer(&low, x_tile[a + 64u], w_tile[b + 32u], w_tile[b + 40u]);
      add_outer(&high, x_tile[a + 80u], w_tile[b + 32u], w_tile[b + 40u]);
      add_outer(&low, x_tile[a + 96u], w_tile[b + 48u], w_tile[b + 56u]);
      add_outer(&high, x_tile[a + 112u], w_tile[b + 48u], w_tile[b + 56u]);
    }
    {
      let a = first_x + 128u + (line ^ 2u) % 16u;
      let b = first_w + 64u + (column ^ 2u) % 8u;
      add_outer(&low, x_tile[a], w_tile[b], w_tile[b + 8u]);
      add_outer(&high, x_tile[a + 16u], w_tile[b], w_tile[b + 8u]);
      add_outer(&low, x_tile[a + 32u], w_tile[b + 16u], w_tile[b + 24u]);
      add_outer(&high, x_tile[a + 48u], w_tile[b + 16u], w_tile[b + 24u]);
      add_outer(&low, x_tile[a + 64u], w_tile[b + 32u], w_tile[b + 40u]);
      add_outer(&high, x_tile[a + 80u], w_tile[b + 32u], w_tile[b + 40u]);
      add_outer(&low, x_tile[a + 96u], w_tile[b + 48u], w_tile[b + 56u]);
      add_outer(&high, x_tile[a + 112u], w_tile[b + 48u], w_tile[b + 56u]);
    }
    {
      let a = first_x + 256u + (line ^ 4u) % 16u;
      let b = first_w + 128u + (column ^ 4u) % 8u;
      add_outer(&low, x_tile[a], w_tile[b], w_tile[b + 8u]);
      add_outer(&high, x_tile[a + 16u], w_tile[b], w_tile[b + 8u]);
      add_outer(&low, x_tile[a + 32u], w_tile[b + 16u], w_tile[b + 24u]);
      add_outer(&high, x_tile[a + 48u], w_tile[b + 16u], w_tile[b + 24u]);
      add_outer(&low, x_tile[a + 64u], w_tile[b + 32u], w_tile[b + 40u]);
      add_outer(&high, x_tile[a + 80u], w_tile[b + 32u], w_tile[b + 40u]);
      add_outer(&low, x_tile[a + 96u], w_tile[b + 48u], w_tile[b + 56u]);
      add_outer(&high, x_tile[a + 112u], w_tile[b + 48u], w_tile[b + 56u]);
    }
    {
      let a = first_x + 384u + (line ^ 6u) % 16u;
      let b = first_w + 192u + (column ^ 6u) % 8u;
      add_outer(&low, x_tile[a], w_tile[b], w_tile[b + 8u]);
      add_outer(&high, x_tile[a + 16u], w_tile[b], w_tile[b + 8u]);
      add_outer(&low, x_tile[a + 32u], w_tile[b + 16u], w_tile[b + 24u]);
      add_outer(&high, x_tile[a + 48u], w_tile[b + 16u], w_tile[b + 24u]);
      add_outer(&low, x_tile[a + 64u], w_tile[b + 32u], w_tile[b + 40u]);
      add_outer(&high, x_tile[a + 80u], w_tile[b + 32u], w_tile[b + 40u]);
      add_outer(&low, x_tile[a + 96u], w_tile[b + 48u], w_tile[b + 56u]);
      add_outer(&high, x_tile[a + 112u], w_tile[b + 48u], w_tile[b + 56u]);
    }
    put(&stage, half + 1u, index);
    workgroupBarrier();
  }
  let row = first_row + line * 4u;
  let n = first_n + column * 4u;
  store_sums(row, n, low);
  store_sums(row + 64u, n, high);
}
