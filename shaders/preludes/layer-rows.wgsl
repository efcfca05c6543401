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

// One.
alias Columns = f32;

var<private> x: Planes;
var<private> ahead_0: Quad;
var<private> ahead_1: Quad;

// [quads of the block, subgroups that share a row]
var<workgroup> sums: array<vec4f, MOST_SUMS>;

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

fn use_quad(part: Rows, words: Quad, round: u32, index: u32) {
  let sets = WORKGROUP / part.lanes;
  let parts = part.lanes / SUBGROUP;
  let quad = round * sets + index / part.lanes;
  let scales = scales_of(words, index % part.lanes, part.groups);
  let products = QuadColumns(
    scales.x * dot_group(words.a, x), scales.y * dot_group(words.b, x),
    scales.z * dot_group(words.c, x), scales.w * dot_group(words.d, x),
  );
  let lane = index % SUBGROUP;
  let sum = sum_quad(products, lane);
  if (lane < 4u && quad * 4u < part.count) {
    sums[quad * parts + (index % part.lanes) / SUBGROUP][summed_row(lane)] = sum;
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
