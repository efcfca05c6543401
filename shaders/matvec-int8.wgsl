// y[t, n] = sum over k of x[t, k] * weight[n, k] for COLUMNS rows of x (1 to 8), weights of 4 bits, activations as
// int8 digits. A workgroup takes SETS sets of ROWS rows of the weight, side by side (preludes/dot-rows-int8.wgsl) or one
// after the other (preludes/dot-turns-int8.wgsl).

@group(0) @binding(0) var<storage, read> x_codes: array<vec4u>;
@group(0) @binding(1) var<storage, read> weight: array<vec4u>;
@group(0) @binding(2) var<storage, read> weight_scale: array<u32>;
@group(0) @binding(9) var<storage, read> x_totals: array<vec2f>;

override N: u32;
override Y_STRIDE: u32;
override Y_OFFSET: u32 = 0u;

// Row i of a set. Rows past the end repeat the last one: cheaper than a branch, and never stored.
fn row_of(workgroup: u32, team: u32, i: u32) -> u32 {
  return min((workgroup * SETS + team) * ROWS + i, N - 1u);
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) index: u32) {
  multiply(workgroup.x, index);
  for (var item = index; item < SETS * VALUES; item += WORKGROUP) {
    let team = item / VALUES;
    let value = item % VALUES;
    let n = (workgroup.x * SETS + team) * ROWS + (value % QUADS) * 4u;
    if (n < N) {
      store4(value / QUADS, n, lane_total(value, team));
    }
  }
}
