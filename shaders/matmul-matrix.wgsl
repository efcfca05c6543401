// y[t, n] = sum over k of x[t, k] * weight[n, k] with the subgroup matrices of
// chromium-experimental-subgroup-matrix: f16 operands, f32 sums. Tiles of 128 rows x 128 outputs x 32 along K; each of
// the four subgroups of 32 keeps 4 x 4 matrices of 16 x 16. Weights become f16 on the way into workgroup memory. The
// next step's operands are on their way from memory while this one is computed.
// Needs K to be a multiple of 32 and N of 16. Rows past the last one repeat it; the results of up to 15 are stored, so
// that y needs room for a multiple of 16 rows.

enable subgroups;
enable subgroup_size_control;
enable chromium_experimental_subgroup_matrix;

override K: u32;
override N: u32;
override Y_STRIDE: u32;
override Y_OFFSET: u32 = 0u;

// [rows, K / 8]: eight halves in a vector.
@group(0) @binding(0) var<storage, read> codes: array<vec4u>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

alias Left = subgroup_matrix_left<f16, 16, 16>;
alias Right = subgroup_matrix_right<f16, 16, 16>;
alias Result = subgroup_matrix_result<f32, 16, 16>;

const TILE = 128u;
const DEPTH = 32u;
const WORKGROUP = 128u;
// Vectors of eight halves of a row, and one more, so that neighbouring rows hit different banks.
const VECTORS = DEPTH / 8u;
const PITCH = VECTORS + 1u;
var<workgroup> x_tile: array<vec4u, TILE * PITCH>;
var<workgroup> w_tile: array<vec4u, TILE * PITCH>;

const UNITS = VECTORS / UNIT_VECTORS;
const X_ITEMS = TILE * VECTORS / WORKGROUP;
const W_ITEMS = TILE * UNITS / WORKGROUP;

struct Stage {
  x: array<vec4u, X_ITEMS>,
  w: array<Packed, W_ITEMS>,
}

fn fetch(stage: ptr<function, Stage>, first_row: u32, first_n: u32, k: u32, index: u32) {
  for (var j = 0u; j < X_ITEMS; j++) {
    let i = index + j * WORKGROUP;
    let row = min(first_row + i / VECTORS, step.row_count - 1u);
    (*stage).x[j] = codes[row * (K / 8u) + k / 8u + i % VECTORS];
  }
  for (var j = 0u; j < W_ITEMS; j++) {
    let i = index + j * WORKGROUP;
    let n = min(first_n + i / UNITS, N - 1u);
    (*stage).w[j] = fetch_weights(n, k / (8u * UNIT_VECTORS) + i % UNITS);
  }
}

fn put(stage: ptr<function, Stage>, index: u32) {
  for (var j = 0u; j < X_ITEMS; j++) {
    let i = index + j * WORKGROUP;
    x_tile[(i / VECTORS) * PITCH + i % VECTORS] = (*stage).x[j];
  }
  for (var j = 0u; j < W_ITEMS; j++) {
    let i = index + j * WORKGROUP;
    let first = (i / UNITS) * PITCH + (i % UNITS) * UNIT_VECTORS;
    let halves = weight_halves((*stage).w[j]);
    for (var l = 0u; l < UNIT_VECTORS; l++) {
      w_tile[first + l] = halves[l];
    }
  }
}

fn store_result(row: u32, n: u32, result: Result) {
  if (n < N && row < step.row_count) {
    subgroupMatrixStore<row_major>(&y, row * Y_STRIDE + Y_OFFSET + n, result, Y_STRIDE);
  }
}

@compute @workgroup_size(128) @subgroup_size(32)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(local_invocation_index) index: u32,
  @builtin(subgroup_id) subgroup: u32,
) {
  let first_row = workgroup.x * TILE;
  let first_n = workgroup.y * TILE;
  let row = (subgroup / 2u) * 64u;
  let n = (subgroup % 2u) * 64u;
  var r00 = Result();
  var r01 = Result();
  var r02 = Result();
  var r03 = Result();
  var r10 = Result();
  var r11 = Result();
  var r12 = Result();
  var r13 = Result();
  var r20 = Result();
  var r21 = Result();
  var r22 = Result();
  var r23 = Result();
  var r30 = Result();
  var r31 = Result();
  var r32 = Result();
  var r33 = Result();
  var stage: Stage;
  fetch(&stage, first_row, first_n, 0u, index);
  for (var k = 0u; k < K; k += DEPTH) {
    put(&stage, index);
    workgroupBarrier();
    fetch(&stage, first_row, first_n, min(k + DEPTH, K - DEPTH), index);
    for (var depth = 0u; depth < VECTORS; depth += 2u) {
      let left0 = subgroupMatrixLoad<Left, row_major>(&x_tile, (row + 0u) * PITCH + depth, PITCH);
      let left1 = subgroupMatrixLoad<Left, row_major>(&x_tile, (row + 16u) * PITCH + depth, PITCH);
      let left2 = subgroupMatrixLoad<Left, row_major>(&x_tile, (row + 32u) * PITCH + depth, PITCH);
      let left3 = subgroupMatrixLoad<Left, row_major>(&x_tile, (row + 48u) * PITCH + depth, PITCH);
      let right0 = subgroupMatrixLoad<Right, col_major>(&w_tile, (n + 0u) * PITCH + depth, PITCH);
      r00 = subgroupMatrixMultiplyAccumulate(left0, right0, r00);
      r10 = subgroupMatrixMultiplyAccumulate(left1, right0, r10);
      r20 = subgroupMatrixMultiplyAccumulate(left2, right0, r20);
      r30 = subgroupMatrixMultiplyAccumulate(left3, right0, r30);
      let right1 = subgroupMatrixLoad<Right, col_major>(&w_tile, (n + 16u) * PITCH + depth, PITCH);
      r01 = subgroupMatrixMultiplyAccumulate(left0, right1, r01);
      r11 = subgroupMatrixMultiplyAccumulate(left1, right1, r11);
      r21 = subgroupMatrixMultiplyAccumulate(left2, right1, r21);
      r31 = subgroupMatrixMultiplyAccumulate(left3, right1, r31);
      let right2 = subgroupMatrixLoad<Right, col_major>(&w_tile, (n + 32u) * PITCH + depth, PITCH);
      r02 = subgroupMatrixMultiplyAccumulate(left0, right2, r02);
      r12 = subgroupMatrixMultiplyAccumulate(left1, right2, r12);
      r22 = subgroupMatrixMultiplyAccumulate(left2, right2, r22);
      r32 = subgroupMatrixMultiplyAccumulate(left3, right2, r32);
      let right3 = subgroupMatrixLoad<Right, col_major>(&w_tile, (n + 48u) * PITCH + depth, PITCH);
      r03 = subgroupMatrixMultiplyAccumulate(left0, right3, r03);
      r13 = subgroupMatrixMultiplyAccumulate(left1, right3, r13);
      r23 = subgroupMatrixMultiplyAccumulate(left2, right3, r23);
      r33 = subgroupMatrixMultiplyAccumulate(left3, right3, r33);
    }
    workgroupBarrier();
  }
  let y_row = first_row + row;
  let y_n = first_n + n;
  store_result(y_row + 0u, y_n + 0u, r00);
  store_result(y_row + 0u, y_n + 16u, r01);
  store_result(y_row + 0u, y_n + 32u, r02);
  store_result(y_row + 0u, y_n + 48u, r03);
  store_result(y_row + 16u, y_n + 0u, r10);
  store_result(y_row + 16u, y_n + 16u, r11);
  store_result(y_row + 16u, y_n + 32u, r12);
  store_result(y_row + 16u, y_n + 48u, r13);
  store_result(y_row + 32u, y_n + 0u, r20);
  store_result(y_row + 32u, y_n + 16u, r21);
  store_result(y_row + 32u, y_n + 32u, r22);
  store_result(y_row + 32u, y_n + 48u, r23);
  store_result(y_row + 48u, y_n + 0u, r30);
  store_result(y_row + 48u, y_n + 16u, r31);
  store_result(y_row + 48u, y_n + 32u, r32);
  store_result(y_row + 48u, y_n + 48u, r33);
}
