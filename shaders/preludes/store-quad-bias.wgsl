// Four neighbouring outputs of a matrix product at once, plus a bias for each output channel; N and Y_STRIDE are
// multiples of 4.
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(4) var<storage, read> bias: array<vec4f>;

fn store_quad(row: u32, n: u32, values: vec4f) {
  y[(row * Y_STRIDE + Y_OFFSET + n) / 4u] = values + bias[(Y_OFFSET + n) / 4u];
}
