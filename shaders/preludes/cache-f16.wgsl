// KV cache in f16, two in a word: needs no shader-f16.
alias CachePair = u32;
alias CacheQuad = vec2u;

fn pack_pair(value: vec2f) -> CachePair { return pack2x16float(value); }
fn unpack_quad(value: CacheQuad) -> vec4f {
  return vec4f(unpack2x16float(value.x), unpack2x16float(value.y));
}
