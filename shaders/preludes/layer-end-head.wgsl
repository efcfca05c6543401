// The end of decode-layer for the last layer: norms, and the digits for the head's product.

@group(0) @binding(8) var<storage, read_write> head_codes: array<vec4u>;
@group(0) @binding(9) var<storage, read_write> head_totals: array<vec2f>;

fn after_down(workgroup: u32) -> Rows {
  return Rows(0u, 0u, 1u, WORKGROUP, 0u, 4u, 4u, 0u, 0u, true);
}

fn finish(nothing: Rows, workgroup: u32, post_mlp: Octet, next_norm: Octet, index: u32) {
  sandwich(REDUCED, post_mlp, next_norm, index);
  if (workgroup == 0u && index < C_GROUPS) {
    head_codes[index] = x.even_high;
    head_codes[C_GROUPS + index] = x.odd_high;
    head_codes[2u * C_GROUPS + index] = x.even_low;
    head_codes[3u * C_GROUPS + index] = x.odd_low;
    head_totals[index] = x.total * pre_scale();
  }
}
