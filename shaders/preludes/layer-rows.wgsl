// Products of a workgroup's rows of a 4-bit matrix with activations in int8 digits. An invocation keeps the digits of
// its own 32 values of K in `x` and meets them with row after row, four at a time; two such quads are on their way.
// Expects: const WORKGROUP, SUBGROUP and MOST_SUMS, the buffers `layer` and `next`.

struct Rows {
  // Of the weight's first group and of its first eight scales, in vectors.
  weight: u32,
  scale: u32,
  groups: u32,
  // Invocations that share a row.
  lanes: u32,
  // The workgroup's first row, and how many it has.
  first: u32,
  count: u32,
  // Where the second half of the rows starts: gate, then up.
  half: u32,
  jump: u32,
  // Quads that an invocation meets, and whether they lie in `next`.
  rounds: u32,
  is_next: bool,
}

// The words of four neighbouring rows that an invocation multiplies. Fields instead of arrays: an array that is indexed
// in a loop which the driver does not unroll would leave the registers.
struct Quad {
  a: vec4u,
  b: vec4u,
  c: vec4u,
  d: vec4u,
  // Pairs of scales, of which the invocation's group takes one.
  scales: vec4u,
}

// The digits of an invocation's group of activations.
struct Planes {
  even_high: vec4u,
  odd_high: vec4u,
  even_low: vec4u,
  odd_low: vec4u,
  total: vec2f,
}

var<private> x: Planes;
var<private> ahead_0: Quad;
var<private> ahead_1: Quad;

// [quads of the block, subgroups that share a row]
var<workgroup> sums: array<vec4f, MOST_SUMS>;

const NIBBLES = vec4u(0x0f0f0f0fu);

// Quads of a block that an invocation meets when `lanes` share a row.
fn rounds_of(block: u32, lanes: u32) -> u32 {
  let sets = WORKGROUP / lanes;
  return (block / 4u + sets - 1u) / sets;
}

// A workgroup's share of `count` rows: the first, and how many.
fn block_of(count: u32, block: u32, workgroup: u32) -> vec2u {
  let first = min(workgroup * block, count);
  return vec2u(first, min(block, count - first));
}

fn load_from(words: ptr<storage, array<vec4u>>, part: Rows, round: u32, index: u32) -> Quad {
  let sets = WORKGROUP / part.lanes;
  let group = min(index % part.lanes, part.groups - 1u);
  // Past the end the last rows again: cheaper than a branch around the loads, and never stored.
  let row = min((round * sets + index / part.lanes) * 4u, part.count - 4u);
  let first = (part.first + row + select(0u, part.jump, row >= part.half)) * part.groups + group;
  let places = vec4u(first, first + part.groups, first + 2u * part.groups, first + 3u * part.groups);
  let weight = part.weight + places;
  let scale = part.scale + places / 8u;
  let word = places / 2u % 4u;
  return Quad(
    (*words)[weight.x], (*words)[weight.y], (*words)[weight.z], (*words)[weight.w],
    vec4u(
      (*words)[scale.x][word.x], (*words)[scale.y][word.y], (*words)[scale.z][word.z], (*words)[scale.w][word.w],
    ),
  );
}

fn load_quad(part: Rows, round: u32, index: u32) -> Quad {
  if (part.is_next) { return load_from(&next, part, round, index); }
  return load_from(&layer, part, round, index);
}

// Asks for the first rows: best while there is something else to wait for.
fn load_first(part: Rows, index: u32) {
  ahead_0 = load_quad(part, 0u, index);
  ahead_1 = load_quad(part, 1u, index);
}

fn half_of(pair: u32, is_odd: bool) -> f32 {
  let scales = unpack2x16float(pair);
  return select(scales.x, scales.y, is_odd);
}

fn dot_plane(weights: vec4u, digits: vec4u) -> i32 {
  return dot4I8Packed(weights.x, digits.x) + dot4I8Packed(weights.y, digits.y)
    + dot4I8Packed(weights.z, digits.z) + dot4I8Packed(weights.w, digits.w);
}

fn dot_group(words: vec4u, digits: Planes) -> f32 {
  let even = words & NIBBLES;
  let odd = (words >> vec4u(4u)) & NIBBLES;
  let high = dot_plane(even, digits.even_high) + dot_plane(odd, digits.odd_high);
  let low = dot_plane(even, digits.even_low) + dot_plane(odd, digits.odd_low);
  // Below 2^24, so exact.
  return digits.total.x * f32(high * 256 + low) - digits.total.y;
}

fn use_quad(part: Rows, words: Quad, round: u32, index: u32) {
  let sets = WORKGROUP / part.lanes;
  let parts = part.lanes / SUBGROUP;
  let quad = round * sets + index / part.lanes;
  // Quads start at even places, so that the second and the fourth row lie in the other half where rows have an odd
  // number of groups.
  let group = index % part.lanes;
  let is_odd = group % 2u == 1u;
  let is_other_odd = (group + part.groups) % 2u == 1u;
  let scales = vec4f(
    half_of(words.scales.x, is_odd), half_of(words.scales.y, is_other_odd),
    half_of(words.scales.z, is_odd), half_of(words.scales.w, is_other_odd),
  );
  let products = scales * vec4f(
    dot_group(words.a, x), dot_group(words.b, x), dot_group(words.c, x), dot_group(words.d, x),
  );
  // Neighbours share the four sums out before they add: six exchanges instead of twenty.
  let lane = index % SUBGROUP;
  let takes_upper = (lane & 1u) == 1u;
  let takes_second = (lane & 2u) == 2u;
  let pair = select(products.xy, products.zw, takes_upper)
    + subgroupShuffleXor(select(products.zw, products.xy, takes_upper), 1u);
  var sum = select(pair.x, pair.y, takes_second) + subgroupShuffleXor(select(pair.y, pair.x, takes_second), 2u);
  for (var distance = 4u; distance < SUBGROUP; distance <<= 1u) {
    sum += subgroupShuffleXor(sum, distance);
  }
  if (lane < 4u && quad * 4u < part.count) {
    sums[quad * parts + (index % part.lanes) / SUBGROUP][(lane & 1u) * 2u + (lane >> 1u)] = sum;
  }
}

// All rows of a block, of which `load_first` has asked for the first, with the activations in `x`; their sums over each
// subgroup go to `sums`.
fn multiply(part: Rows, index: u32) {
  for (var round = 0u; round < part.rounds; round += 2u) {
    use_quad(part, ahead_0, round, index);
    if (round + 2u < part.rounds) { ahead_0 = load_quad(part, round + 2u, index); }
    if (round + 1u < part.rounds) {
      use_quad(part, ahead_1, round + 1u, index);
      if (round + 3u < part.rounds) { ahead_1 = load_quad(part, round + 3u, index); }
    }
  }
  workgroupBarrier();
}

// Four neighbouring rows' sums.
fn quad_total(quad: u32, lanes: u32) -> vec4f {
  let parts = lanes / SUBGROUP;
  let first = quad * parts;
  var total = sums[first];
  for (var i = 1u; i < parts; i++) { total += sums[first + i]; }
  return total;
}
