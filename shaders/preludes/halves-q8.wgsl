// Matrix [N, K] of 8-bit values (see weight-q8.wgsl) as f16: fetch_weights reads eight consecutive values
// along K, and weight_halves unpacks them.
enable f16;
@group(0) @binding(1) var<storage, read> weight: array<vec2u>;
@group(0) @binding(2) var<storage, read> weight_scale: array<u32>;

const UNIT_VECTORS = 1u;

fn four_of(word: u32, scale: f16) -> vec2u {
  // As in halves-q4.wgsl: 1024 + q, less 1151, is q - 127.
  let low = (word & 0xffu) | ((word << 8u) & 0xff0000u) | 0x64006400u;
  let high = ((word >> 16u) & 0xffu) | ((word >> 8u) & 0xff0000u) | 0x64006400u;
  return bitcast<vec2u>(vec4h(
    (bitcast<vec2h>(low) - vec2h(1151.0)) * scale,
    (bitcast<vec2h>(high) - vec2h(1151.0)) * scale,
  ));
}

struct Packed {
  words: vec2u,
  scale: u32,
}

fn fetch_weights(row: u32, unit: u32) -> Packed {
  let group = row * (K / 32u) + unit / 4u;
  return Packed(weight[row * (K / 8u) + unit], weight_scale[group / 2u] >> ((group % 2u) * 16u));
}

fn weight_halves(packed: Packed) -> array<vec4u, 1> {
  let scale = bitcast<vec2h>(packed.scale).x;
  return array<vec4u, 1>(vec4u(four_of(packed.words.x, scale), four_of(packed.words.y, scale)));
}
