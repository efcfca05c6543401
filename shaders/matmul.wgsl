// y[t, n] = sum over k of x[t, k] * weight[n, k], accumulated in f32.
// Base variant: tiles of 64 rows x 64 outputs x 32 along K in 16 KiB of workgroup memory; each of the
// 256 invocations keeps 4 x 4 sums. Weights are unpacked once per tile, whatever their format.

override K: u32;
override N: u32;
override Y_STRIDE: u32;
override Y_OFFSET: u32 = 0u;

@group(0) @binding(0) var<storage, read> x: array<vec4f>;

const TILE = 64u;
const DEPTH = 32u;
// [DEPTH][TILE / 4]: four neighbouring rows (or outputs) in a vec4.
var<workgroup> x_tile: array<vec4f, DEPTH * TILE / 4u>;
var<workgroup> w_tile: array<vec4f, DEPTH * TILE / 4u>;

fn load_x(first_row: u32, first_k: u32, index: u32) {
  // Invocation (row quad, k quad): 16 x 8 pairs of 4 x 4 values, transposed on the way in.
  let quad = index % 16u;
  let k = first_k + (index / 16u) * 4u;
  var block: mat4x4f;
  for (var i = 0u; i < 4u; i++) {
    let row = first_row + quad * 4u + i;
    if (row < step.row_count && k < K) {
      block[i] = x[row * (K / 4u) + k / 4u];
    }
  }
  let turned = transpose(block);
  for (var i = 0u; i < 4u; i++) {
    x_tile[((index / 16u) * 4u + i) * 16u + quad] = turned[i];
  }
}

fn load_w(first_n: u32, first_k: u32, index: u32) {
  // Invocation (output quad, k unit): 16 x 4 pairs of 4 outputs x 8 values.
  let quad = index % 16u;
  let unit = index / 16u;
  let k = first_k + unit * 8u;
  var low: mat4x4f;
  var high: mat4x4f;
  for (var i = 0u; i < 4u; i++) {
    let n = first_n + quad * 4u + i;
    if (n < N && k < K) {
      let values = weight8(n, k / 8u);
      low[i] = values[0];
      high[i] = values[1];
    }
  }
  let low_turned = transpose(low);
  let high_turned = transpose(high);
  for (var i = 0u; i < 4u; i++) {
    w_tile[(unit * 8u + i) * 16u + quad] = low_turned[i];
    w_tile[(unit * 8u + 4u + i) * 16u + quad] = high_turned[i];
  }
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) index: u32) {
  let first_n = workgroup.x * TILE;
  let first_row = workgroup.y * TILE;
  let column = index % 16u;
  let line = index / 16u;
  var sums: array<vec4f, 4>;
  for (var k = 0u; k < K; k += DEPTH) {
    // Half of the invocations load x, a quarter the weights: each piece is one 4-row block.
    if (index < 128u) {
      load_x(first_row, k, index);
    } else if (index < 192u) {
      load_w(first_n, k, index - 128u);
    }
    workgroupBarrier();
    for (var i = 0u; i < DEPTH; i++) {
      let rows = x_tile[i * 16u + line];
      let outputs = w_tile[i * 16u + column];
      sums[0] = fma(vec4f(rows.x), outputs, sums[0]);
      sums[1] = fma(vec4f(rows.y), outputs, sums[1]);
      sums[2] = fma(vec4f(rows.z), outputs, sums[2]);
      sums[3] = fma(vec4f(rows.w), outputs, sums[3]);
    }
    workgroupBarrier();
  }
  for (var i = 0u; i < 4u; i++) {
    let row = first_row + line * 4u + i;
    for (var j = 0u; j < 4u; j++) {
      let n = first_n + column * 4u + j;
      if (row < step.row_count && n < N) {
        store(row, n, sums[i][j]);
      }
    }
  }
}
