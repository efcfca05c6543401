// A product's activations as an earlier kernel left them (preludes/emit-int8.wgsl).
// Expects: const GROUPS.

@group(0) @binding(0) var<storage, read> x_codes: array<vec4u>;
@group(0) @binding(9) var<storage, read> x_totals: array<vec2f>;

fn prepare_x(_workgroup: u32, _index: u32) {}

fn x_digits(column: u32, plane: u32, group: u32) -> vec4u {
  return x_codes[(column * 4u + plane) * GROUPS + group];
}

fn x_total(column: u32, group: u32) -> vec2f {
  return x_totals[column * GROUPS + group];
}
