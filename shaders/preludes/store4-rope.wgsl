// Four neighbouring outputs of the qkv product: bias, M-RoPE, q to its buffer, k and v to the KV cache.
// The same as rope-append.wgsl without the way through memory.

override H: u32;
override KV: u32;
override D: u32;
override ROTARY_PAIRS: u32;
override TIME_PAIRS: u32;
override ROW_PAIRS: u32;
override CONTEXT: u32;

@group(0) @binding(3) var<storage, read> bias: array<vec4f>;
@group(0) @binding(4) var<storage, read> rope: array<vec2f>;
@group(0) @binding(5) var<storage, read> rows: array<Row>;
@group(0) @binding(6) var<storage, read_write> q: array<vec4f>;
@group(0) @binding(8) var<storage, read_write> keys: array<CacheQuad>;
@group(0) @binding(10) var<storage, read_write> values: array<CacheQuad>;

// Y_OFFSET, n and N are multiples of 4: parts of the weight are cut between quads.
fn store4(column: u32, n: u32, products: vec4f) {
  let place = (Y_OFFSET + n) / 4u;
  append_quad(column, place, products + bias[place]);
}
