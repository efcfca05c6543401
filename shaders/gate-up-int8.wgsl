// silu(gate) * up for COLUMNS rows of x, both products and the activation in one, as int8 digits for the next product.
// weight is [2 F, K]: F rows of gate, then F rows of up. A workgroup computes the 32 outputs that share a scale: its
// sets take ROWS rows each, half of them gate and half up, side by side (preludes/dot-rows-int8.wgsl) or one after the
// other (preludes/dot-turns-int8.wgsl).

@group(0) @binding(0) var<storage, read> x_codes: array<vec4u>;
@group(0) @binding(1) var<storage, read> weight: array<vec4u>;
@group(0) @binding(2) var<storage, read> weight_scale: array<u32>;
@group(0) @binding(9) var<storage, read> x_totals: array<vec2f>;

override F: u32;

const OUTPUTS = 32u;
// Vectors of four outputs of a set.
const OUTPUT_QUADS = QUADS / 2u;

var<workgroup> activated: array<vec4f, COLUMNS * OUTPUTS / 4u>;

// Row i of a set.
fn row_of(workgroup: u32, team: u32, i: u32) -> u32 {
  let output = workgroup * OUTPUTS + team * (ROWS / 2u) + i % (ROWS / 2u);
  return select(output, F + output, i >= ROWS / 2u);
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) index: u32) {
  multiply(workgroup.x, index);
  for (var item = index; item < COLUMNS * OUTPUTS / 4u; item += WORKGROUP) {
    let column = item / (OUTPUTS / 4u);
    let quad = item % (OUTPUTS / 4u);
    let team = quad / OUTPUT_QUADS;
    let value = column * QUADS + quad % OUTPUT_QUADS;
    let gate = lane_total(value, team);
    activated[item] = gate / (1.0 + exp(-gate)) * lane_total(value + OUTPUT_QUADS, team);
  }
  workgroupBarrier();
  // Four invocations a column.
  for (var first_item = 0u; first_item < COLUMNS * OUTPUTS / 8u; first_item += WORKGROUP) {
    let item = first_item + index;
    let is_valid = item < COLUMNS * OUTPUTS / 8u;
    var a = vec4f(0);
    var b = vec4f(0);
    if (is_valid) {
      a = activated[item * 2u];
      b = activated[item * 2u + 1u];
    }
    emit_octet(item / 4u, F / OUTPUTS, workgroup.x * 4u + item % 4u, a, b, index, is_valid);
  }
}
