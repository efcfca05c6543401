// Matrix [N, K] of 4-bit values (q4f16_1): value k of a word in bits 4k..4k+3, w = (q - 7) * scale,
// one f16 scale for 32 values along K. weight8 gives 8 consecutive values along K.
@group(0) @binding(1) var<storage, read> weight: array<u32>;
@group(0) @binding(2) var<storage, read> weight_scale: array<u32>;

fn weight8(row: u32, unit: u32) -> mat2x4f {
  let word = weight[row * (K / 8u) + unit];
  let group = row * (K / 32u) + unit / 4u;
  let scale = unpack2x16float(weight_scale[group / 2u])[group % 2u];
  let low = vec4i((vec4u(word) >> vec4u(0u, 4u, 8u, 12u)) & vec4u(15u)) - 7;
  let high = vec4i((vec4u(word) >> vec4u(16u, 20u, 24u, 28u)) & vec4u(15u)) - 7;
  return mat2x4f(vec4f(low) * scale, vec4f(high) * scale);
}
