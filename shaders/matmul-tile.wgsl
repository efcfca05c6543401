// y[t, n] = sum over k of x[t, k] * weight[n, k], accumulated in f32: matmul.wgsl with larger tiles, for GPUs. Tiles of
// 128 rows x 128 outputs x 16 along K, in 32 KiB of workgroup memory: each of the 256 invocations keeps 8 x 8 sums, so
// that four vectors from workgroup memory feed 64 products. The next step's operands are on their way from memory
// while this one is computed, into the other half of the tiles; loads stand in no branch, which would wait for them.
// The steps along K are written out, because the compiler of a driver did not unroll the loop.
// Needs N to be a multiple of 4 and K of 16. Rows past the last one repeat it and are not stored.

override K: u32;
override N: u32;
override Y_STRIDE: u32;
override Y_OFFSET: u32 = 0u;

@group(0) @binding(0) var<storage, read> x: array<vec4f>;

const DEPTH = 16u;
// Groups of four neighbouring rows (or outputs) of a tile.
const QUADS = 32u;
// [2][DEPTH][QUADS] with four neighbouring rows (or outputs) in a vec4. A quad's place is turned by k / 4, so that the
// lanes that fill different k at once hit different banks. Remainders by constants keep indices in bounds where the
// compiler can see it, which spares a comparison an access.
var<workgroup> x_tile: array<vec4f, 2u * DEPTH * QUADS>;
var<workgroup> w_tile: array<vec4f, 2u * DEPTH * QUADS>;

// What an invocation brings from memory for a step: four k of two rows, 64 apart, and eight k of an output.
struct Stage {
  first: vec4f,
  second: vec4f,
  weights: mat2x4f,
}

fn fetch(first_row: u32, first_n: u32, k: u32, index: u32) -> Stage {
  let last = step.row_count - 1u;
  let row = first_row + index / 4u;
  let k_quad = k / 4u + index % 4u;
  return Stage(
    x[min(row, last) * (K / 4u) + k_quad],
    x[min(row + 64u, last) * (K / 4u) + k_quad],
    weight8(min(first_n + index / 2u, N - 1u), k / 8u + index % 2u),
  );
}

fn put(stage: ptr<function, Stage>, half: u32, index: u32) {
  let first = (half % 2u) * DEPTH * QUADS;
  let row = (index / 4u) % 64u;
  let x_place = first + index % 4u * 4u * QUADS + ((row / 4u) ^ (index % 4u * 2u)) % 16u;
  x_tile[x_place][row % 4u] = (*stage).first.x;
  x_tile[x_place + QUADS][row % 4u] = (*stage).first.y;
  x_tile[x_place + 2u * QUADS][row % 4u] = (*stage).first.z;
  x_tile[x_place + 3u * QUADS][row % 4u] = (*stage).first.w;
  x_tile[x_place + 16u][row % 4u] = (*stage).second.x;
  x_tile[x_place + QUADS + 16u][row % 4u] = (*stage).second.y;
  x_tile[x_place + 2u * QUADS + 16u][row % 4u] = (*stage).second.z;
  x_tile[x_place + 3u * QUADS + 16u][row % 4u] = (*stage).second.w;
  let output = (index / 2u) % 128u;
  let w_place = first + index % 2u * 8u * QUADS;
  let w_low = w_place + ((output / 4u) ^ (index % 2u * 4u)) % QUADS;
  let w_high = w_place + ((output / 4u) ^ (index % 2u * 4u + 2u)) % QUADS;
  w_tile[w_low][output % 4u] = (*stage).weights[0].x;
  w_tile[w_low + QUADS][output % 4u] = (*stage).weights[0].y;
  w_tile[w_low + 2u * QUADS][output % 4u] = (*stage).weights[0].z;
  w_tile[w_low + 3u * QUADS][output % 4u] = (*stage).weights[0].w;
  w_tile[w_high + 4u * QUADS][output % 4u] = (*stage).weights[1].x;
  w_tile[w_high + 5u * QUADS][output % 4u] = (*stage).weights[1].y;
  w_tile[w_high + 6u * QUADS][output % 4u] = (*stage).weights[1].z;
  w_tile[w_high + 7u * QUADS][output % 4u] = (*stage).weights[1].w;
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
  if (n + 64u < N) {
    store_quad(row, n + 64u, right);
  }
}

fn store_sums(row: u32, n: u32, sums: Sums) {
  store_row(row, n, sums.a0, sums.a1);
  store_row(row + 1u, n, sums.b0, sums.b1);
  store_row(row + 2u, n, sums.c0, sums.c1);
  store_row(row + 3u, n, sums.d0, sums.d1);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) index: u32) {
  let first_row = workgroup.x * 128u;
  let first_n = workgroup.y * 128u;
  // 32 neighbouring invocations cover 4 x 8 blocks, which reads the fewest different vectors.
  let line = ((index / 64u) * 4u + (index % 32u) / 8u) % 16u;
  let column = (((index / 32u) % 2u) * 8u + index % 8u) % 16u;
  // Rows 4 line .. + 3 and 64 on, by outputs 4 column .. + 3 and 64 on.
  var low = Sums();
  var high = Sums();
  var stage = fetch(first_row, first_n, 0u, index);
  put(&stage, 0u, index);
  workgroupBarrier();
  for (var k = 0u; k < K; k += DEPTH) {
    let half = k / DEPTH;
    stage = fetch(first_row, first_n, min(k + DEPTH, K - DEPTH), index);
    let first = (half % 2u) * DEPTH * QUADS;
    {
      let a = first + line;
      let b = first + column;
      add_outer(&low, x_tile[a], w_tile[b], w_tile[b + 16u]);
      add_outer(&high, x_tile[a + 16u], w_tile[b], w_tile[b + 16u]);
      add_outer(&low, x_tile[a + 32u], w_tile[b + 32u], w_tile[b + 48u]);
      add_outer(&high, x_tile[a + 48u], w_tile[b + 32u], w_tile[b + 48u]);
      add_outer(&low, x_tile[a + 64u], w_tile[b + 64u], w_tile[b + 80u]);
      add_outer(&high, x_tile[a + 80u], w_tile[b + 64u], w_tile[b + 80u]);
      add_outer(&low, x_tile[a + 96u], w_tile[b + 96u], w_tile[b + 112u]);
      add_outer(&high, x_tile[a + 112u], w_tile[b + 96u], w_tile[b + 112u]);
    }
    {
      let a = first + 4u * QUADS + (line ^ 2u) % 16u;
      let b = first + 4u * QUADS + (column ^ 2u) % 16u;
      add_outer(&low, x_tile[a], w_tile[b], w_tile[b + 16u]);
      add_outer(&high, x_tile[a + 16u], w_tile[b], w_tile[b + 16u]);
      add_outer(&low, x_tile[a + 32u], w_tile[b + 32u], w_tile[b + 48u]);
      add_outer(&high, x_tile[a + 48u], w_tile[b + 32u], w_tile[b + 48u]);
      add_outer(&low, x_tile[a + 64u], w_tile[b + 64u], w_tile[b + 80u]);
      add_outer(&high, x_tile[a + 80u], w_tile[b + 64u], w_tile[b + 80u]);
      add_outer(&low, x_tile[a + 96u], w_tile[b + 96u], w_tile[b + 112u]);
      add_outer(&high, x_tile[a + 112u], w_tile[b + 96u], w_tile[b + 112u]);
    }
    {
      let a = first + 8u * QUADS + (line ^ 4u) % 16u;
      let b = first + 8u * QUADS + (column ^ 4u) % 16u;
      add_outer(&low, x_tile[a], w_tile[b], w_tile[b + 16u]);
      add_outer(&high, x_tile[a + 16u], w_tile[b], w_tile[b + 16u]);
      add_outer(&low, x_tile[a + 32u], w_tile[b + 32u], w_tile[b + 48u]);
      add_outer(&high, x_tile[a + 48u], w_tile[b + 32u], w_tile[b + 48u]);
      add_outer(&low, x_tile[a + 64u], w_tile[b + 64u], w_tile[b + 80u]);
      add_outer(&high, x_tile[a + 80u], w_tile[b + 64u], w_tile[b + 80u]);
      add_outer(&low, x_tile[a + 96u], w_tile[b + 96u], w_tile[b + 112u]);
      add_outer(&high, x_tile[a + 112u], w_tile[b + 96u], w_tile[b + 112u]);
    }
    {
      let a = first + 12u * QUADS + (line ^ 6u) % 16u;
      let b = first + 12u * QUADS + (column ^ 6u) % 16u;
      add_outer(&low, x_tile[a], w_tile[b], w_tile[b + 16u]);
      add_outer(&high, x_tile[a + 16u], w_tile[b], w_tile[b + 16u]);
      add_outer(&low, x_tile[a + 32u], w_tile[b + 32u], w_tile[b + 48u]);
      add_outer(&high, x_tile[a + 48u], w_tile[b + 32u], w_tile[b + 48u]);
      add_outer(&low, x_tile[a + 64u], w_tile[b + 64u], w_tile[b + 80u]);
      add_outer(&high, x_tile[a + 80u], w_tile[b + 64u], w_tile[b + 80u]);
      add_outer(&low, x_tile[a + 96u], w_tile[b + 96u], w_tile[b + 112u]);
      add_outer(&high, x_tile[a + 112u], w_tile[b + 96u], w_tile[b + 112u]);
    }
    put(&stage, half + 1u, index);
    workgroupBarrier();
  }
  let row = first_row + line * 4u;
  let n = first_n + column * 4u;
  store_sums(row, n, low);
  store_sums(row + 64u, n, high);
}
