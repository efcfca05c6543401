// y[t, n] = sum over k of x[t, k] * weight[n, k], accumulated in f32: matmul.wgsl with larger tiles, for GPUs. Tiles of
// 128 rows x 128 outputs x 8 along K, in 16 KiB of workgroup memory: each of the 128 invocations keeps 16 x 8 sums, so
// that six vectors from workgroup memory feed 128 products. The next step's operands are on their way from memory
// while this one is computed, into the other half of the tiles.
// The steps along K are written out, because the compiler of a driver did not unroll the loop.
// Needs N to be a multiple of 4. Rows past the last one repeat it and are not stored.

override K: u32;
override N: u32;
override Y_STRIDE: u32;
override Y_OFFSET: u32 = 0u;

@group(0) @binding(0) var<storage, read> x: array<vec4f>;

const DEPTH = 8u;
// Groups of four neighbouring rows (or outputs) of a tile.
const QUADS = 32u;
// [2][DEPTH][QUADS] with four neighbouring rows (or outputs) in a vec4. A quad's place is turned by k / 4, so that the
// lanes that fill two different k at once hit different banks. Remainders by constants keep indices in bounds where
// the compiler can see it, which spares a comparison an access.
var<workgroup> x_tile: array<vec4f, 2u * DEPTH * QUADS>;
var<workgroup> w_tile: array<vec4f, 2u * DEPTH * QUADS>;

// Four rows of x (one half of the workgroup), or four outputs of the weight (the other), at four consecutive k.
fn fetch(first_row: u32, first_n: u32, k: u32, index: u32) -> mat4x4f {
  let quad = (index / 2u) % QUADS;
  let k_quad = k / 4u + index % 2u;
  if (index < 64u) {
    let last = step.row_count - 1u;
    let row = first_row + quad * 4u;
    return mat4x4f(
      x[min(row, last) * (K / 4u) + k_quad],
      x[min(row + 1u, last) * (K / 4u) + k_quad],
      x[min(row + 2u, last) * (K / 4u) + k_quad],
      x[min(row + 3u, last) * (K / 4u) + k_quad],
    );
  }
  // N is a multiple of 4: a quad lies in or out.
  let n = min(first_n + quad * 4u, N - 4u);
  let a = weight8(n, k / 8u);
  let b = weight8(n + 1u, k / 8u);
  let c = weight8(n + 2u, k / 8u);
  let d = weight8(n + 3u, k / 8u);
  if (index % 2u == 0u) {
    return mat4x4f(a[0], b[0], c[0], d[0]);
  }
  return mat4x4f(a[1], b[1], c[1], d[1]);
}

fn put(block: mat4x4f, half: u32, index: u32) {
  let turned = transpose(block);
  let k_quad = index % 2u;
  let place = (half % 2u) * DEPTH * QUADS + k_quad * 4u * QUADS + ((index / 2u) ^ (k_quad * 4u)) % QUADS;
  if (index < 64u) {
    x_tile[place] = turned[0];
    x_tile[place + QUADS] = turned[1];
    x_tile[place + 2u * QUADS] = turned[2];
    x_tile[place + 3u * QUADS] = turned[3];
  } else {
    w_tile[place] = turned[0];
    w_tile[place + QUADS] = turned[1];
    w_tile[place + 2u * QUADS] = turned[2];
    w_tile[place + 3u * QUADS] = turned[3];
  }
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

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) index: u32) {
  let first_row = workgroup.x * 128u;
  let first_n = workgroup.y * 128u;
  // 32 neighbouring invocations cover 4 x 8 blocks, which reads the fewest different vectors.
  let line = (index / 64u) * 4u + (index % 32u) / 8u;
  let column = ((index / 32u) % 2u) * 8u + index % 8u;
  // Rows 4 line .. + 3 and the same 32, 64 and 96 on, by outputs 4 column .. + 3 and 64 + 4 column .. + 3.
  var sums0 = Sums();
  var sums1 = Sums();
  var sums2 = Sums();
  var sums3 = Sums();
  put(fetch(first_row, first_n, 0u, index), 0u, index);
  workgroupBarrier();
  for (var k = 0u; k < K; k += DEPTH) {
    let half = k / DEPTH;
    let next = fetch(first_row, first_n, min(k + DEPTH, K - DEPTH), index);
    {
      let first = (half % 2u) * DEPTH * QUADS + 0u * QUADS;
      let x_quad = first + (line ^ 0u) % 8u;
      let w_quad = first + (column ^ 0u) % 16u;
      {
        let outputs0 = w_tile[w_quad + 0u];
        let outputs1 = w_tile[w_quad + 16u];
        add_outer(&sums0, x_tile[x_quad + 0u], outputs0, outputs1);
        add_outer(&sums1, x_tile[x_quad + 8u], outputs0, outputs1);
        add_outer(&sums2, x_tile[x_quad + 16u], outputs0, outputs1);
        add_outer(&sums3, x_tile[x_quad + 24u], outputs0, outputs1);
      }
      {
        let outputs0 = w_tile[w_quad + 32u];
        let outputs1 = w_tile[w_quad + 48u];
        add_outer(&sums0, x_tile[x_quad + 32u], outputs0, outputs1);
        add_outer(&sums1, x_tile[x_quad + 40u], outputs0, outputs1);
        add_outer(&sums2, x_tile[x_quad + 48u], outputs0, outputs1);
        add_outer(&sums3, x_tile[x_quad + 56u], outputs0, outputs1);
      }
      {
        let outputs0 = w_tile[w_quad + 64u];
        let outputs1 = w_tile[w_quad + 80u];
        add_outer(&sums0, x_tile[x_quad + 64u], outputs0, outputs1);
        add_outer(&sums1, x_tile[x_quad + 72u], outputs0, outputs1);
        add_outer(&sums2, x_tile[x_quad + 80u], outputs0, outputs1);
        add_outer(&sums3, x_tile[x_quad + 88u], outputs0, outputs1);
      }
      {
        let outputs0 = w_tile[w_quad + 96u];
        let outputs1 = w_tile[w_quad + 112u];
        add_outer(&sums0, x_tile[x_quad + 96u], outputs0, outputs1);
        add_outer(&sums1, x_tile[x_quad + 104u], outputs0, outputs1);
        add_outer(&sums2, x_tile[x_quad + 112u], outputs0, outputs1);
        add_outer(&sums3, x_tile[x_quad + 120u], outputs0, outputs1);
      }
    }
    {
      let first = (half % 2u) * DEPTH * QUADS + 4u * QUADS;
      let x_quad = first + (line ^ 4u) % 8u;
      let w_quad = first + (column ^ 4u) % 16u;
      {
        let outputs0 = w_tile[w_quad + 0u];
        let outputs1 = w_tile[w_quad + 16u];
        add_outer(&sums0, x_tile[x_quad + 0u], outputs0, outputs1);
        add_outer(&sums1, x_tile[x_quad + 8u], outputs0, outputs1);
        add_outer(&sums2, x_tile[x_quad + 16u], outputs0, outputs1);
        add_outer(&sums3, x_tile[x_quad + 24u], outputs0, outputs1);
      }
      {
        let outputs0 = w_tile[w_quad + 32u];
        let outputs1 = w_tile[w_quad + 48u];
        add_outer(&sums0, x_tile[x_quad + 32u], outputs0, outputs1);
        add_outer(&sums1, x_tile[x_quad + 40u], outputs0, outputs1);
        add_outer(&sums2, x_tile[x_quad + 48u], outputs0, outputs1);
        add_outer(&sums3, x_tile[x_quad + 56u], outputs0, outputs1);
      }
      {
        let outputs0 = w_tile[w_quad + 64u];
        let outputs1 = w_tile[w_quad + 80u];
        add_outer(&sums0, x_tile[x_quad + 64u], outputs0, outputs1);
        add_outer(&sums1, x_tile[x_quad + 72u], outputs0, outputs1);
        add_outer(&sums2, x_tile[x_quad + 80u], outputs0, outputs1);
        add_outer(&sums3, x_tile[x_quad + 88u], outputs0, outputs1);
      }
      {
        let outputs0 = w_tile[w_quad + 96u];
        let outputs1 = w_tile[w_quad + 112u];
        add_outer(&sums0, x_tile[x_quad + 96u], outputs0, outputs1);
        add_outer(&sums1, x_tile[x_quad + 104u], outputs0, outputs1);
        add_outer(&sums2, x_tile[x_quad + 112u], outputs0, outputs1);
        add_outer(&sums3, x_tile[x_quad + 120u], outputs0, outputs1);
      }
    }
    put(next, half + 1u, index);
    workgroupBarrier();
  }
  let row = first_row + line * 4u;
  let n = first_n + column * 4u;
  store_sums(row, n, sums0);
  store_sums(row + 32u, n, sums1);
  store_sums(row + 64u, n, sums2);
  store_sums(row + 96u, n, sums3);
}
