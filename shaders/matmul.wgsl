// y[t, n] = sum over k of x[t, k] * weight[n, k], accumulated in f32.
// Base variant: tiles of 64 rows x 64 outputs x 16 along K in 8 KiB of workgroup memory; each of the
// 64 invocations keeps 8 x 8 sums. Weights are unpacked once per tile, whatever their format.
// The sums are four matrices, not an array: software adapters keep an indexed array in memory.

override K: u32;
override N: u32;
override Y_STRIDE: u32;
override Y_OFFSET: u32 = 0u;

@group(0) @binding(0) var<storage, read> x: array<vec4f>;

const TILE = 64u;
const DEPTH = 16u;
// [DEPTH][TILE / 4]: four neighbouring rows (or outputs) in a vec4.
var<workgroup> x_tile: array<vec4f, DEPTH * TILE / 4u>;
var<workgroup> w_tile: array<vec4f, DEPTH * TILE / 4u>;

// Loads rows first_row + 4 quad .. + 3 at four consecutive k, transposed on the way in.
fn load_x(first_row: u32, first_k: u32, quad: u32, k_quad: u32) {
  let k = first_k + k_quad * 4u;
  var block = mat4x4f();
  for (var i = 0u; i < 4u; i++) {
    let row = first_row + quad * 4u + i;
    if (row < step.row_count && k < K) {
      block[i] = x[row * (K / 4u) + k / 4u];
    }
  }
  let turned = transpose(block);
  for (var i = 0u; i < 4u; i++) {
    x_tile[(k_quad * 4u + i) * 16u + quad] = turned[i];
  }
}

// Loads outputs first_n + 4 quad .. + 3 at eight consecutive k.
fn load_w(first_n: u32, first_k: u32, quad: u32, unit: u32) {
  let k = first_k + unit * 8u;
  var low = mat4x4f();
  var high = mat4x4f();
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

// Column i holds rows[i] * outputs.
fn outer(rows: vec4f, outputs: vec4f) -> mat4x4f {
  return mat4x4f(rows.x * outputs, rows.y * outputs, rows.z * outputs, rows.w * outputs);
}

fn store_block(first_row: u32, first_n: u32, sums: mat4x4f) {
  var block = sums;
  for (var i = 0u; i < 4u; i++) {
    for (var j = 0u; j < 4u; j++) {
      if (first_row + i < step.row_count && first_n + j < N) {
        store(first_row + i, first_n + j, block[i][j]);
      }
    }
  }
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) index: u32) {
  let first_n = workgroup.x * TILE;
  let first_row = workgroup.y * TILE;
  let column = index % 8u;
  let line = index / 8u;
  // Rows and outputs 4 line .. + 3 and 32 + 4 line .. + 3, by 4 column .. alike; a column for each row.
  var sums00 = mat4x4f();
  var sums01 = mat4x4f();
  var sums10 = mat4x4f();
  var sums11 = mat4x4f();
  for (var k = 0u; k < K; k += DEPTH) {
    for (var i = index; i < 4u * DEPTH; i += 64u) {
      load_x(first_row, k, i % 16u, i / 16u);
    }
    for (var i = 63u - index; i < 2u * DEPTH; i += 64u) {
      load_w(first_n, k, i % 16u, i / 16u);
    }
    workgroupBarrier();
    for (var i = 0u; i < DEPTH; i++) {
      let rows0 = x_tile[i * 16u + line];
      let rows1 = x_tile[i * 16u + 8u + line];
      let outputs0 = w_tile[i * 16u + column];
      let outputs1 = w_tile[i * 16u + 8u + column];
      sums00 += outer(rows0, outputs0);
      sums01 += outer(rows0, outputs1);
      sums10 += outer(rows1, outputs0);
      sums11 += outer(rows1, outputs1);
    }
    workgroupBarrier();
  }
  let row = first_row + line * 4u;
  let n = first_n + column * 4u;
  var blocks = array<mat4x4f, 4>(sums00, sums01, sums10, sums11);
  for (var i = 0u; i < 4u; i++) {
    store_block(row + (i / 2u) * 32u, n + (i % 2u) * 32u, blocks[i]);
  }
}
