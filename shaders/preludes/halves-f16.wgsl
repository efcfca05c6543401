// Matrix [N, K] of f16, two in a word, as it is: fetch_weights and weight_halves give eight consecutive
// values along K.
enable f16;
@group(0) @binding(1) var<storage, read> weight: array<vec4u>;

const UNIT_VECTORS = 1u;

alias Packed = vec4u;

fn fetch_weights(row: u32, unit: u32) -> Packed {
  return weight[row * (K / 8u) + unit];
}

fn weight_halves(packed: Packed) -> array<vec4u, 1> {
  return array<vec4u, 1>(packed);
}
