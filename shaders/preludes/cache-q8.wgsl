// KV cache in 8 bits a value: four neighbouring values have 7 bits each and share an exponent of 4 bits, so
// that whoever writes four values needs no other. Values beyond 1,008 are cut, which keys and values do not reach.
alias CacheQuad = u32;
alias CacheOctet = vec2u;

// Powers of two of the smallest and largest step between neighbouring numbers: -11 and 4.
fn pack_quad(value: vec4f) -> CacheQuad {
  let magnitudes = abs(value);
  let largest = max(max(magnitudes.x, magnitudes.y), max(magnitudes.z, magnitudes.w));
  // largest = f * 2^x with f in [0.5, 1); a step of 2^(x - 6) makes it less than 64 steps.
  let x = i32(bitcast<u32>(largest) >> 23u) - 126;
  let exponent = u32(clamp(x + 5, 0, 15));
  let steps = bitcast<f32>((138u - exponent) << 23u);
  let digits = bitcast<vec4u>(vec4i(clamp(round(value * steps), vec4f(-63), vec4f(63)))) & vec4u(127u);
  return digits.x | (digits.y << 7u) | (digits.z << 14u) | (digits.w << 21u) | (exponent << 28u);
}
fn unpack_quad(value: CacheQuad) -> vec4f {
  let digits = (vec4i(bitcast<i32>(value)) << vec4u(25u, 18u, 11u, 4u)) >> vec4u(25u);
  return vec4f(digits) * bitcast<f32>(((value >> 28u) + 116u) << 23u);
}
fn unpack_octet(value: CacheOctet) -> mat2x4f {
  return mat2x4f(unpack_quad(value.x), unpack_quad(value.y));
}
