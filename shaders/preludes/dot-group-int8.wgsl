// 32 weights of 4 bits (q4f16_1) times as many activations in int8 digits (preludes/round-int8.wgsl). Nibbles meet the
// digits in dot4I8Packed, so a weight costs about one instruction.
// The zero point goes through the sum of the activations: (q - 7) x = q x - 7 x.

// The digits of a group of activations.
struct Planes {
  even_high: vec4u,
  odd_high: vec4u,
  even_low: vec4u,
  odd_low: vec4u,
  total: vec2f,
}

const NIBBLES = vec4u(0x0f0f0f0fu);

fn dot_plane(weights: vec4u, digits: vec4u) -> i32 {
  return dot4I8Packed(weights.x, digits.x) + dot4I8Packed(weights.y, digits.y)
    + dot4I8Packed(weights.z, digits.z) + dot4I8Packed(weights.w, digits.w);
}

fn dot_group(words: vec4u, digits: Planes) -> f32 {
  let even = words & NIBBLES;
  let odd = (words >> vec4u(4u)) & NIBBLES;
  let high = dot_plane(even, digits.even_high) + dot_plane(odd, digits.odd_high);
  let low = dot_plane(even, digits.even_low) + dot_plane(odd, digits.odd_low);
  // Below 2^24, so exact.
  return digits.total.x * f32(high * 256 + low) - digits.total.y;
}
