// Four neighbouring outputs of a matrix product, written as they are.
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

fn store4(row: u32, n: u32, values: vec4f) {
  for (var i = 0u; i < min(4u, N - n); i++) {
    y[row * Y_STRIDE + Y_OFFSET + n + i] = values[i];
  }
}
