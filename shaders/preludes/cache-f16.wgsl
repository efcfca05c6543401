// KV cache in f16, two in a word: needs no shader-f16.
alias CachePair = u32;
alias CacheQuad = vec2u;
alias CacheOctet = vec4u;

fn pack_pair(value: vec2f) -> CachePair { return pack2x16float(value); }
fn pack_quad(value: vec4f) -> CacheQuad { return vec2u(pack2x16float(value.xy), pack2x16float(value.zw)); }
fn unpack_quad(value: CacheQuad) -> vec4f {
  return vec4f(unpack2x16float(value.x), unpack2x16float(value.y));
}
fn unpack_octet(value: CacheOctet) -> mat2x4f {
  return mat2x4f(unpack_quad(value.xy), unpack_quad(value.zw));
}
