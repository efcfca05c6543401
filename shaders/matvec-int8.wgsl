// y[t, n] = sum over k of x[t, k] * weight[n, k] for COLUMNS rows of x (1 to 8), weights of 4 bits (q4f16_1),
// activations as int8 digits (preludes/emit-int8.wgsl). One 16-byte load is one group of 32 weights; its
// nibbles meet the digits in dot4I8Packed, so a weight costs less than one instruction.
// The zero point goes through the sum of the activations: (q - 7) x = q x - 7 x.

override K: u32;
override N: u32;
override Y_STRIDE: u32;
override Y_OFFSET: u32 = 0u;

@group(0) @binding(0) var<storage, read> codes: array<vec4u>;
@group(0) @binding(1) var<storage, read> weight: array<vec4u>;
@group(0) @binding(2) var<storage, read> weight_scale: array<u32>;
@group(0) @binding(7) var<storage, read> totals: array<vec2f>;

const NIBBLES = vec4u(0x0f0f0f0fu);

fn dot_group(even: vec4u, odd: vec4u, first: vec4u, second: vec4u) -> i32 {
  return dot4I8Packed(even.x, first.x) + dot4I8Packed(odd.x, first.y)
    + dot4I8Packed(even.y, first.z) + dot4I8Packed(odd.y, first.w)
    + dot4I8Packed(even.z, second.x) + dot4I8Packed(odd.z, second.y)
    + dot4I8Packed(even.w, second.z) + dot4I8Packed(odd.w, second.w);
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) index: u32) {
  let groups = K / 32u;
  let first_n = workgroup.x * 4u;
  var sums: array<vec4f, COLUMNS>;
  for (var group = index; group < groups; group += WORKGROUP) {
    for (var i = 0u; i < 4u; i++) {
      // Rows past the end repeat the last one: cheaper than a branch, and never stored.
      let place = min(first_n + i, N - 1u) * groups + group;
      let words = weight[place];
      let scale = unpack2x16float(weight_scale[place / 2u])[place % 2u];
      let even = words & NIBBLES;
      let odd = (words >> vec4u(4u)) & NIBBLES;
      for (var column = 0u; column < COLUMNS; column++) {
        let x = column * groups + group;
        let high = dot_group(even, odd, codes[x * 4u], codes[x * 4u + 1u]);
        let low = dot_group(even, odd, codes[x * 4u + 2u], codes[x * 4u + 3u]);
        let total = totals[x];
        sums[column][i] += scale * (total.x * (f32(high) + f32(low) * (1.0 / 254.0)) - total.y);
      }
    }
  }
  for (var column = 0u; column < COLUMNS; column++) {
    let total = reduce_sum4(sums[column], index);
    if (index == 0u) {
      store4(column, first_n, total);
    }
  }
}
