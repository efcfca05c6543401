enable subgroups;
// Four neighbouring rows' groups of 32 weights, and the sums of what an invocation makes of them over its subgroup.
// Fields instead of arrays: an array that is indexed in a loop which the driver does not unroll would leave the registers.
// Expects: const SUBGROUP, alias Columns.

struct Quad {
  a: vec4u,
  b: vec4u,
  c: vec4u,
  d: vec4u,
  // Pairs of scales, of which the invocation's group takes one.
  scales: vec4u,
}

// Values of four rows, each for all columns of activations.
struct QuadColumns {
  a: Columns,
  b: Columns,
  c: Columns,
  d: Columns,
}

fn half_of(pair: u32, is_odd: bool) -> f32 {
  let scales = unpack2x16float(pair);
  return select(scales.x, scales.y, is_odd);
}

// Quads start at even places, so that the second and the fourth row lie in the other half where rows have an odd
// number of groups.
fn scales_of(words: Quad, group: u32, groups: u32) -> vec4f {
  let is_odd = group % 2u == 1u;
  let is_other_odd = (group + groups) % 2u == 1u;
  return vec4f(
    half_of(words.scales.x, is_odd), half_of(words.scales.y, is_other_odd),
    half_of(words.scales.z, is_odd), half_of(words.scales.w, is_other_odd),
  );
}

// The sums of row `summed_row(lane)`. Neighbours share the four rows out before they add: six exchanges instead of twenty.
fn sum_quad(quad: QuadColumns, lane: u32) -> Columns {
  let takes_upper = (lane & 1u) == 1u;
  let takes_second = (lane & 2u) == 2u;
  let first = select(quad.a, quad.c, takes_upper) + subgroupShuffleXor(select(quad.c, quad.a, takes_upper), 1u);
  let second = select(quad.b, quad.d, takes_upper) + subgroupShuffleXor(select(quad.d, quad.b, takes_upper), 1u);
  var sum = select(first, second, takes_second) + subgroupShuffleXor(select(second, first, takes_second), 2u);
  for (var distance = 4u; distance < SUBGROUP; distance <<= 1u) {
    sum += subgroupShuffleXor(sum, distance);
  }
  return sum;
}

fn summed_row(lane: u32) -> u32 {
  return (lane & 1u) * 2u + (lane >> 1u);
}
