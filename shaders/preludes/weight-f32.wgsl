// Matrix [N, K] of f32, row-major. weight8 gives 8 consecutive values along K.
@group(0) @binding(1) var<storage, read> weight: array<vec4f>;

fn weight8(row: u32, unit: u32) -> mat2x4f {
  let i = row * (K / 4u) + unit * 2u;
  return mat2x4f(weight[i], weight[i + 1u]);
}
