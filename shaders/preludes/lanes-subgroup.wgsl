enable subgroups;
// Sums of VALUES vectors over the LANES invocations of each set, by subgroup operations.
// The subgroup's size is read at run time; LANES is a multiple of it.
// Expects: const WORKGROUP, LANES, VALUES, LEAST_SUBGROUP. Every invocation must call `sum_lanes`.

const MOST_SUBGROUPS = (WORKGROUP + LEAST_SUBGROUP - 1u) / LEAST_SUBGROUP;
var<workgroup> lane_sums: array<vec4f, VALUES * MOST_SUBGROUPS>;
var<private> subgroup_width: u32;

fn sum_lanes(sums: array<vec4f, VALUES>, index: u32) {
  subgroup_width = subgroupAdd(1u);
  for (var value = 0u; value < VALUES; value++) {
    let partial = subgroupAdd(sums[value]);
    if (index % subgroup_width == 0u) {
      lane_sums[value * MOST_SUBGROUPS + index / subgroup_width] = partial;
    }
  }
  workgroupBarrier();
}

// A set's sum; any invocation may ask.
fn lane_total(value: u32, team: u32) -> vec4f {
  let count = LANES / subgroup_width;
  var total = vec4f(0);
  for (var i = 0u; i < count; i++) {
    total += lane_sums[value * MOST_SUBGROUPS + team * count + i];
  }
  return total;
}
