// The end of decode-layer for every layer but the last: norms, then the next layer's qkv product with bias and M-RoPE,
// q to its buffer, k and v to the next layer's cache.

// The next layer's `stream`.
@group(0) @binding(8) var<storage, read_write> q: array<vec4f>;
@group(0) @binding(9) var<storage, read> rope: array<vec2f>;
@group(0) @binding(10) var<storage, read_write> keys: array<CacheQuad>;
@group(0) @binding(11) var<storage, read_write> values: array<CacheQuad>;

// Asks for the next layer's keys and values, so that its attention need not wait for memory: 32 bytes an invocation.
// A value that no cache holds makes the loads count for something.
fn warm_cache(workgroup: u32, index: u32) {
  let row = rows[0];
  let lines = (row.cache_index + 1u) * (D / 16u);
  let line = workgroup * WORKGROUP + index;
  if (line >= KV * lines) { return; }
  let place = ((row.slot * KV + line / lines) * CONTEXT * (D / 16u) + line % lines) * 4u;
  if (unpack_quad(keys[place]).x + unpack_quad(values[place]).x == 3e38) { atomicStore(&mail[STATUS], 1u); }
}

fn after_down(workgroup: u32) -> Rows {
  let block = block_of(QKV, QKV_BLOCK, workgroup);
  return Rows(
    QKV_WEIGHT, QKV_SCALE, C_GROUPS, LANES_C, block.x, block.y, block.y, 0u, rounds_of(QKV_BLOCK, LANES_C), true,
  );
}

fn finish(qkv: Rows, workgroup: u32, post_mlp: Octet, next_norm: Octet, index: u32) {
  warm_cache(workgroup, index);
  sandwich(REDUCED, post_mlp, next_norm, index);
  if (workgroup == 0u && index < C_OCTETS) {
    q[RESIDUAL + index * 2u] = residual.a;
    q[RESIDUAL + index * 2u + 1u] = residual.b;
  }
  multiply(qkv, index);
  let scale = pre_scale();
  for (var quad = index; quad < qkv.count / 4u; quad += WORKGROUP) {
    let place = qkv.first / 4u + quad;
    append_quad(0u, place, quad_total(quad, LANES_C) * scale + bitcast<vec4f>(next[QKV_BIAS + place]));
  }
}
