// Activations as int8 digits (preludes/round-int8.wgsl) in buffers, for the next product. Neighbouring invocations of
// a product read neighbouring vectors:
// codes [rows, 4, K / 32] are planes of vectors: even high, odd high, even low, odd low digits;
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
  let group = octet / 4u;
  let place = (row * 4u * groups + group) * 4u + octet % 4u;
  for (var plane = 0u; plane < 4u; plane++) {
    codes[place + plane * groups * 4u] = digits.words[plane];
  }
  if (octet % 4u == 0u) {
    totals[row * groups + group] = digits.total;
  }
}
