// KV cache in f32.
alias CachePair = vec2f;
alias CacheQuad = vec4f;
alias CacheOctet = mat2x4f;

fn pack_pair(value: vec2f) -> CachePair { return value; }
fn pack_quad(value: vec4f) -> CacheQuad { return value; }
fn unpack_quad(value: CacheQuad) -> vec4f { return value; }
fn unpack_octet(value: CacheOctet) -> mat2x4f { return value; }
