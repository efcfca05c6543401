// Matrix [N, K] of 8-bit values (q8f16_1): value k of a word in bits 8k..8k+7, w = (q - 127) * scale,
// one f16 scale for 32 values along K. weight8 gives 8 consecutive values along K.
@group(0) @binding(1) var<storage, read> weight: array<vec2u>;
@group(0) @binding(2) var<storage, read> weight_scale: array<u32>;

fn weight8(row: u32, unit: u32) -> mat2x4f {
  let words = weight[row * (K / 8u) + unit];
  let group = row * (K / 32u) + unit / 4u;
  let scale = unpack2x16float(weight_scale[group / 2u])[group % 2u];
  let low = vec4i((vec4u(words.x) >> vec4u(0u, 8u, 16u, 24u)) & vec4u(255u)) - 127;
  let high = vec4i((vec4u(words.y) >> vec4u(0u, 8u, 16u, 24u)) & vec4u(255u)) - 127;
  return mat2x4f(vec4f(low) * scale, vec4f(high) * scale);
}
