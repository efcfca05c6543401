// y[t, n] = sum over k of x[t, k] * weight[n, k] for many rows, weights of 4 bits (q4f16_1), activations as two int8
// digits (preludes/emit-int8-rows.wgsl): matvec-int8.wgsl for prompts. Tiles of 8 LINES rows x 8 COLUMNS outputs x 32 along
// K; each invocation keeps 8 x 8 sums and holds the weights of its 8 outputs in registers while the rows pass by. Per
// group of 32, a sum costs 16 dot products and 5 additions or multiplications in f32. The next group is on its way from memory while
// this one is multiplied.
// Needs N to be a multiple of 4. Rows past the last one repeat it and are not stored.

override K: u32;
override N: u32;
override Y_STRIDE: u32;
override Y_OFFSET: u32 = 0u;

@group(0) @binding(0) var<storage, read> codes: array<vec4u>;
@group(0) @binding(1) var<storage, read> weight: array<vec4u>;
@group(0) @binding(2) var<storage, read> weight_scale: array<u32>;
@group(0) @binding(7) var<storage, read> totals: array<vec2f>;

const WORKGROUP = LINES * COLUMNS;
const ROWS = 8u * LINES;
const OUTPUTS = 8u * COLUMNS;
// Vectors of one row: four of digits, one with step and total. Odd, so that neighbouring rows hit different banks.
const X_PITCH = 5u;
var<workgroup> x_tile: array<vec4u, ROWS * X_PITCH>;
// Nibbles in bytes: the even and the odd ones of all outputs' groups, by slot; and their scales.
var<workgroup> w_tile: array<vec4u, OUTPUTS * 2u>;
var<workgroup> w_scales: array<f32, OUTPUTS>;

// Where an output lies, so that neighbouring invocations, which own four neighbouring outputs each, read neighbours.
fn slot_of(output: u32) -> u32 {
  return (output % 4u) * (OUTPUTS / 4u) + output / 4u;
}

const NIBBLES = vec4u(0x0f0f0f0fu);

// A group's weights of one output: nibbles in bytes, in the order of the digits.
struct Weights {
  even: vec4u,
  odd: vec4u,
  scale: f32,
}

struct EightWeights {
  a: Weights, b: Weights, c: Weights, d: Weights, e: Weights, f: Weights, g: Weights, h: Weights,
}

fn weights_at(slot: u32) -> Weights {
  return Weights(w_tile[slot], w_tile[OUTPUTS + slot], w_scales[slot]);
}

// A group's digits of one row, the step of its low digit, and 7 times its sum.
struct Digits {
  even_high: vec4u,
  odd_high: vec4u,
  even_low: vec4u,
  odd_low: vec4u,
  total: vec2f,
}

fn digits_at(row: u32) -> Digits {
  // The remainder keeps the index in bounds where the compiler can see it.
  let place = (row % ROWS) * X_PITCH;
  return Digits(
    x_tile[place], x_tile[place + 1u], x_tile[place + 2u], x_tile[place + 3u],
    bitcast<vec2f>(x_tile[place + 4u].xy),
  );
}

// One chain, so that each product adds to the last, from the bits of 1.5 * 2^23 on: the sum lies in the mantissa of a float
// and becomes one by a subtraction.
fn dot_group(weights: Weights, even: vec4u, odd: vec4u) -> f32 {
  var sum = 0x4b400000;
  sum += dot4I8Packed(weights.even.x, even.x);
  sum += dot4I8Packed(weights.even.y, even.y);
  sum += dot4I8Packed(weights.even.z, even.z);
  sum += dot4I8Packed(weights.even.w, even.w);
  sum += dot4I8Packed(weights.odd.x, odd.x);
  sum += dot4I8Packed(weights.odd.y, odd.y);
  sum += dot4I8Packed(weights.odd.z, odd.z);
  sum += dot4I8Packed(weights.odd.w, odd.w);
  return bitcast<f32>(sum) - 12582912.0;
}

fn add_product(sum: f32, weights: Weights, x: Digits) -> f32 {
  let high = dot_group(weights, x.even_high, x.odd_high);
  let low = dot_group(weights, x.even_low, x.odd_low);
  return fma(fma(fma(high, 256.0, low), x.total.x, -x.total.y), weights.scale, sum);
}

struct Sums {
  left: vec4f,
  right: vec4f,
}

fn add_row(sums: ptr<function, Sums>, w: ptr<function, EightWeights>, row: u32) {
  let x = digits_at(row);
  (*sums).left.x = add_product((*sums).left.x, (*w).a, x);
  (*sums).left.y = add_product((*sums).left.y, (*w).b, x);
  (*sums).left.z = add_product((*sums).left.z, (*w).c, x);
  (*sums).left.w = add_product((*sums).left.w, (*w).d, x);
  (*sums).right.x = add_product((*sums).right.x, (*w).e, x);
  (*sums).right.y = add_product((*sums).right.y, (*w).f, x);
  (*sums).right.z = add_product((*sums).right.z, (*w).g, x);
  (*sums).right.w = add_product((*sums).right.w, (*w).h, x);
}

const X_ITEMS = ROWS * 4u / WORKGROUP;
const W_ITEMS = OUTPUTS / WORKGROUP;

// What an invocation brings from memory for one group.
struct Stage {
  x: array<vec4u, X_ITEMS>,
  totals: array<vec2f, X_ITEMS>,
  w: array<vec4u, W_ITEMS>,
  scales: array<f32, W_ITEMS>,
}

fn fetch(stage: ptr<function, Stage>, first_row: u32, first_n: u32, group: u32, index: u32) {
  for (var j = 0u; j < X_ITEMS; j++) {
    let i = index + j * WORKGROUP;
    let source = min(first_row + i / 4u, step.row_count - 1u) * (K / 32u) + group;
    (*stage).x[j] = codes[source * 4u + i % 4u];
    (*stage).totals[j] = totals[source];
  }
  for (var j = 0u; j < W_ITEMS; j++) {
    let source = min(first_n + index + j * WORKGROUP, N - 1u) * (K / 32u) + group;
    (*stage).w[j] = weight[source];
    (*stage).scales[j] = unpack2x16float(weight_scale[source / 2u])[source % 2u];
  }
}

fn put(stage: ptr<function, Stage>, index: u32) {
  for (var j = 0u; j < X_ITEMS; j++) {
    let i = index + j * WORKGROUP;
    let place = (i / 4u) * X_PITCH;
    x_tile[place + i % 4u] = (*stage).x[j];
    if (i % 4u == 0u) {
      x_tile[place + 4u] = vec4u(bitcast<vec2u>((*stage).totals[j]), 0u, 0u);
    }
  }
  for (var j = 0u; j < W_ITEMS; j++) {
    let words = (*stage).w[j];
    let slot = slot_of(index + j * WORKGROUP);
    w_tile[slot] = words & NIBBLES;
    w_tile[OUTPUTS + slot] = (words >> vec4u(4u)) & NIBBLES;
    w_scales[slot] = (*stage).scales[j];
  }
}

fn store_row(row: u32, n: u32, sums: Sums) {
  if (row >= step.row_count) {
    return;
  }
  // An invocation's outputs are two runs of four.
  if (n < N) {
    store_quad(row, n, sums.left);
  }
  if (n + OUTPUTS / 2u < N) {
    store_quad(row, n + OUTPUTS / 2u, sums.right);
  }
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) index: u32) {
  let first_row = workgroup.x * ROWS;
  let first_n = workgroup.y * OUTPUTS;
  let warp = index / 32u;
  // 32 neighbouring invocations cover 4 x 8 blocks, and each four of them 2 x 2, so that of these each two read the same
  // vector of workgroup memory.
  let line = (warp / (COLUMNS / 8u)) * 4u + (index / 16u) % 2u * 2u + index % 2u;
  let column = (warp % (COLUMNS / 8u)) * 8u + (index / 2u) % 8u;
  // Slots of outputs 4 column .. + 3, and of those half a tile on.
  let left = column;
  let right = column + COLUMNS;
  var sums0 = Sums();
  var sums1 = Sums();
  var sums2 = Sums();
  var sums3 = Sums();
  var sums4 = Sums();
  var sums5 = Sums();
  var sums6 = Sums();
  var sums7 = Sums();
  var stage: Stage;
  fetch(&stage, first_row, first_n, 0u, index);
  for (var group = 0u; group < K / 32u; group++) {
    put(&stage, index);
    workgroupBarrier();
    fetch(&stage, first_row, first_n, min(group + 1u, K / 32u - 1u), index);
    var w = EightWeights(
      weights_at(left), weights_at(left + OUTPUTS / 4u),
      weights_at(left + OUTPUTS / 2u), weights_at(left + OUTPUTS * 3u / 4u),
      weights_at(right), weights_at(right + OUTPUTS / 4u),
      weights_at(right + OUTPUTS / 2u), weights_at(right + OUTPUTS * 3u / 4u),
    );
    add_row(&sums0, &w, line);
    add_row(&sums1, &w, line + LINES);
    add_row(&sums2, &w, line + 2u * LINES);
    add_row(&sums3, &w, line + 3u * LINES);
    add_row(&sums4, &w, line + 4u * LINES);
    add_row(&sums5, &w, line + 5u * LINES);
    add_row(&sums6, &w, line + 6u * LINES);
    add_row(&sums7, &w, line + 7u * LINES);
    workgroupBarrier();
  }
  let row = first_row + line;
  let n = first_n + column * 4u;
  store_row(row, n, sums0);
  store_row(row + LINES, n, sums1);
  store_row(row + 2u * LINES, n, sums2);
  store_row(row + 3u * LINES, n, sums3);
  store_row(row + 4u * LINES, n, sums4);
  store_row(row + 5u * LINES, n, sums5);
  store_row(row + 6u * LINES, n, sums6);
  store_row(row + 7u * LINES, n, sums7);
}
