// Matrix [N, K] of f16, two in a word: needs no shader-f16. weight8 gives 8 consecutive values along K.
@group(0) @binding(1) var<storage, read> weight: array<vec4u>;

fn weight8(row: u32, unit: u32) -> mat2x4f {
  let words = weight[row * (K / 8u) + unit];
  return mat2x4f(
    vec4f(unpack2x16float(words.x), unpack2x16float(words.y)),
    vec4f(unpack2x16float(words.z), unpack2x16float(words.w)),
  );
}
