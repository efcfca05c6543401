// y[t, n] = sum over k of x[t, k] * weight[n, k], accumulated in f32: matmul.wgsl for adapters that compute on
// the CPU. Each invocation reads 8 rows and 8 outputs by itself: there, workgroup memory is as slow as any
// other, barriers cost, and clearing it word by word takes most of a pipeline's compile time.

override K: u32;
override N: u32;
override Y_STRIDE: u32;
override Y_OFFSET: u32 = 0u;

@group(0) @binding(0) var<storage, read> x: array<vec4f>;

// Four neighbouring rows at four consecutive k: a column for each row.
fn rows_at(row: u32, k_quad: u32) -> mat4x4f {
  let last = step.row_count - 1u;
  return mat4x4f(
    x[min(row, last) * (K / 4u) + k_quad],
    x[min(row + 1u, last) * (K / 4u) + k_quad],
    x[min(row + 2u, last) * (K / 4u) + k_quad],
    x[min(row + 3u, last) * (K / 4u) + k_quad],
  );
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

// 2 x 8 invocations: 16 rows x 64 outputs a workgroup.
@compute @workgroup_size(16)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) index: u32) {
  let row = workgroup.y * 16u + (index / 8u) * 8u;
  let n = workgroup.x * 64u + (index % 8u) * 8u;
  // Rows and outputs 0 .. 3 and 4 .. 7; a column for each row.
  var sums00 = mat4x4f();
  var sums01 = mat4x4f();
  var sums10 = mat4x4f();
  var sums11 = mat4x4f();
  for (var unit = 0u; unit < K / 8u; unit++) {
    let outputs0 = four_outputs(n, unit);
    let outputs1 = four_outputs(n + 4u, unit);
    let low0 = rows_at(row, unit * 2u);
    let low1 = rows_at(row + 4u, unit * 2u);
    sums00 += outputs0.low * low0;
    sums01 += outputs1.low * low0;
    sums10 += outputs0.low * low1;
    sums11 += outputs1.low * low1;
    let high0 = rows_at(row, unit * 2u + 1u);
    let high1 = rows_at(row + 4u, unit * 2u + 1u);
    sums00 += outputs0.high * high0;
    sums01 += outputs1.high * high0;
    sums10 += outputs0.high * high1;
    sums11 += outputs1.high * high1;
  }
  var blocks = array<mat4x4f, 4>(sums00, sums01, sums10, sums11);
  for (var i = 0u; i < 4u; i++) {
    store_block(row + (i / 2u) * 4u, n + (i % 2u) * 4u, blocks[i]);
  }
}
