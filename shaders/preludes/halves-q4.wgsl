// Matrix [N, K] of 4-bit values (see weight-q4.wgsl) as f16: fetch_weights reads a group of 32 values along K,
// and weight_halves unpacks them, so that the way from memory overlaps other work.
enable f16;
@group(0) @binding(1) var<storage, read> weight: array<vec4u>;
@group(0) @binding(2) var<storage, read> weight_scale: array<u32>;

const UNIT_VECTORS = 4u;

// Two neighbouring nibbles at bits 0 and 4 of each lane. An f16 of 1024 has a mantissa step of 1: with a nibble in its
// lowest bits it is 1024 + q, and taking 1031 off leaves q - 7 exactly.
fn pair_of(words: u32, scale: f16) -> u32 {
  let bits = (words & 0xfu) | ((words << 12u) & 0xf0000u) | 0x64006400u;
  return bitcast<u32>((bitcast<vec2h>(bits) - vec2h(1031.0)) * scale);
}

fn eight_of(word: u32, scale: f16) -> vec4u {
  return vec4u(pair_of(word, scale), pair_of(word >> 8u, scale), pair_of(word >> 16u, scale), pair_of(word >> 24u, scale));
}

struct Packed {
  words: vec4u,
  scale: u32,
}

fn fetch_weights(row: u32, unit: u32) -> Packed {
  let group = row * (K / 32u) + unit;
  // The scale in the low half.
  return Packed(weight[group], weight_scale[group / 2u] >> ((group % 2u) * 16u));
}

fn weight_halves(packed: Packed) -> array<vec4u, 4> {
  let scale = bitcast<vec2h>(packed.scale).x;
  let words = packed.words;
  return array<vec4u, 4>(eight_of(words.x, scale), eight_of(words.y, scale), eight_of(words.z, scale), eight_of(words.w, scale));
}
