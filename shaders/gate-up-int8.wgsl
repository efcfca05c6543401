// silu(gate) * up for COLUMNS rows of x, both products and the activation in one, as int8 digits for the next product.
// weight is [2 F, K]: F rows of gate, then F rows of up. A workgroup computes the 32 outputs that share a scale: its
// sets of LANES invocations take ROWS rows each, half of them gate and half up.

override F: u32;

const OUTPUTS = 32u;
// Vectors of four outputs of a set.
const OUTPUT_QUADS = QUADS / 2u;

var<workgroup> activated: array<vec4f, COLUMNS * OUTPUTS / 4u>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) index: u32) {
  let first = workgroup.x * OUTPUTS + (index / LANES) * (ROWS / 2u);
  var starts: array<u32, ROWS>;
  for (var i = 0u; i < ROWS / 2u; i++) {
    starts[i] = (first + i) * GROUPS;
    starts[ROWS / 2u + i] = (F + first + i) * GROUPS;
  }
  sum_lanes(dot_rows(starts, index % LANES), index);
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
