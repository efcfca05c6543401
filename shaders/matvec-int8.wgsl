// y[t, n] = sum over k of x[t, k] * weight[n, k] for COLUMNS rows of x (1 to 8), weights of 4 bits, activations as
// int8 digits (preludes/dot-rows-int8.wgsl). A workgroup is SETS sets of LANES invocations; each set takes ROWS rows
// of the weight.

override N: u32;
override Y_STRIDE: u32;
override Y_OFFSET: u32 = 0u;

const SETS = WORKGROUP / LANES;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) index: u32) {
  let first = workgroup.x * SETS * ROWS;
  var starts: array<u32, ROWS>;
  for (var i = 0u; i < ROWS; i++) {
    // Rows past the end repeat the last one: cheaper than a branch, and never stored.
    starts[i] = min(first + (index / LANES) * ROWS + i, N - 1u) * GROUPS;
  }
  sum_lanes(dot_rows(starts, index % LANES), index);
  for (var item = index; item < SETS * VALUES; item += WORKGROUP) {
    let team = item / VALUES;
    let value = item % VALUES;
    let n = first + team * ROWS + (value % QUADS) * 4u;
    if (n < N) {
      store4(value / QUADS, n, lane_total(value, team));
    }
  }
}
