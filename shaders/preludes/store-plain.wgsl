// Result of a matrix product, written as it is.
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

fn store(row: u32, n: u32, value: f32) {
  y[row * Y_STRIDE + Y_OFFSET + n] = value;
}
