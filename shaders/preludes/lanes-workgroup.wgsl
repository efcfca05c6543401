// The same functions as lanes-subgroup.wgsl through workgroup memory; works on every adapter.
// Expects: const WORKGROUP, LANES (a power of two), VALUES. Every invocation must call `sum_lanes`.

var<workgroup> lane_scratch: array<vec4f, WORKGROUP>;
var<workgroup> lane_sums: array<vec4f, VALUES * (WORKGROUP / LANES)>;

fn sum_lanes(sums: array<vec4f, VALUES>, index: u32) {
  for (var value = 0u; value < VALUES; value++) {
    lane_scratch[index] = sums[value];
    workgroupBarrier();
    for (var stride = LANES / 2u; stride > 0u; stride >>= 1u) {
      if (index % LANES < stride) {
        lane_scratch[index] += lane_scratch[index + stride];
      }
      workgroupBarrier();
    }
    if (index % LANES == 0u) {
      lane_sums[value * (WORKGROUP / LANES) + index / LANES] = lane_scratch[index];
    }
  }
  workgroupBarrier();
}

// A set's sum; any invocation may ask.
fn lane_total(value: u32, team: u32) -> vec4f {
  return lane_sums[value * (WORKGROUP / LANES) + team];
}
