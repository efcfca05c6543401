// The end of decode-layer for every layer but the last: norms, then the next layer's qkv product with bias and M-RoPE,
// q to its buffer, k and v to the next layer's cache.

@group(0) @binding(7) var<storage, read_write> hidden_out: array<vec4f>;
@group(0) @binding(8) var<storage, read> rope: array<vec2f>;
@group(0) @binding(9) var<storage, read_write> q: array<vec4f>;
@group(0) @binding(10) var<storage, read_write> keys: array<CacheQuad>;
@group(0) @binding(11) var<storage, read_write> values: array<CacheQuad>;

fn finish(workgroup: u32, post_mlp: Octet, next_norm: Octet, index: u32) {
  let block = block_of(QKV, QKV_BLOCK, workgroup);
  let qkv = Rows(QKV_WEIGHT, QKV_SCALE, C_GROUPS, LANES_C, block.x, block.y, block.y, 0u);
  let first = load_quad(qkv, true, 0u, index);
  sandwich(REDUCED, post_mlp, next_norm, index);
  if (workgroup == 0u && index < C_OCTETS) {
    hidden_out[index * 2u] = residual.a;
    hidden_out[index * 2u + 1u] = residual.b;
  }
  multiply(qkv, true, first, index);
  for (var quad = index; quad < block.y / 4u; quad += WORKGROUP) {
    let place = block.x / 4u + quad;
    let products = vec4f(
      row_total(quad * 4u, LANES_C),
      row_total(quad * 4u + 1u, LANES_C),
      row_total(quad * 4u + 2u, LANES_C),
      row_total(quad * 4u + 3u, LANES_C),
    );
    append_quad(0u, place, products + bitcast<vec4f>(next[QKV_BIAS + place]));
  }
}
