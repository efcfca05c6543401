// Activations as int8 digits (preludes/round-int8.wgsl) in buffers, for a product of many rows, which takes a group of
// each row at a time:
// codes [rows, K / 32, 4] are the group's vectors: even high, odd high, even low, odd low digits;
// totals [rows, K / 32] are the step and 7 times the sum.

@group(0) @binding(6) var<storage, read_write> codes: array<u32>;
@group(0) @binding(7) var<storage, read_write> totals: array<vec2f>;

// Writes the values 8 octet .. 8 octet + 7 of a row of `groups` groups; `octet % 4` equals `index % 4`.
// Every invocation must call.
fn emit_octet(row: u32, groups: u32, octet: u32, a: vec4f, b: vec4f, index: u32, is_valid: bool) {
  let digits = round_octet(a, b, index);
  if (!is_valid) {
    return;
  }
  let place = row * groups + octet / 4u;
  for (var vector = 0u; vector < 4u; vector++) {
    codes[(place * 4u + vector) * 4u + octet % 4u] = digits.words[vector];
  }
  if (octet % 4u == 0u) {
    totals[place] = digits.total;
  }
}
