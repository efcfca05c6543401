// Rows of f32 as f16, two in a word, for products with subgroup matrices; needs no shader-f16. What f16 cannot hold
// becomes its largest value, which ends no sum in infinity; a NaN stays one.

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> codes: array<vec4u>;

// Values of a row, by eights.
override OCTETS: u32;

const LARGEST = 65504.0;

fn pack_quad(value: vec4f) -> vec2u {
  // By its bits: a compiler may assume that no NaN exists.
  let is_nan = (bitcast<vec4u>(value) & vec4u(0x7fffffffu)) > vec4u(0x7f800000u);
  let held = select(clamp(value, vec4f(-LARGEST), vec4f(LARGEST)), value, is_nan);
  return vec2u(pack2x16float(held.xy), pack2x16float(held.zw));
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= OCTETS) {
    return;
  }
  let place = id.y * OCTETS + id.x;
  codes[place] = vec4u(pack_quad(x[place * 2u]), pack_quad(x[place * 2u + 1u]));
}
