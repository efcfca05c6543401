// Products of SETS sets of ROWS rows of a 4-bit weight with COLUMNS rows of activations in int8 digits, one set after
// the other: each invocation keeps the digits of its own 32 values of K of all columns in registers
// (preludes/columns-*.wgsl), and asks for the next set's weights before it multiplies.
// Expects: const SETS, WORKGROUP (at least GROUPS, and a multiple of SUBGROUP), ROWS (4 or 8), and the weight and
// `row_of` from the shader. Every subgroup must have SUBGROUP invocations.

const PARTS = WORKGROUP / SUBGROUP;

// [sets, quads, subgroups, 4 rows]
var<workgroup> lane_sums: array<Columns, SETS * ROWS * PARTS>;

// Invocations past the end of K add nothing.
fn own_planes(column: u32, index: u32) -> Planes {
  var planes = planes_of(column, min(index, GROUPS - 1u));
  if (index >= GROUPS) { planes.total = vec2f(0); }
  return planes;
}

// Four of a set's rows, from the i-th.
fn load_quad(workgroup: u32, team: u32, i: u32, group: u32) -> Quad {
  let rows = vec4u(
    row_of(workgroup, team, i), row_of(workgroup, team, i + 1u),
    row_of(workgroup, team, i + 2u), row_of(workgroup, team, i + 3u),
  );
  let places = rows * GROUPS + group;
  let pairs = places / 2u;
  return Quad(
    weight[places.x], weight[places.y], weight[places.z], weight[places.w],
    vec4u(weight_scale[pairs.x], weight_scale[pairs.y], weight_scale[pairs.z], weight_scale[pairs.w]),
  );
}

fn dot_quad(words: Quad, x: KeptColumns, group: u32) -> QuadColumns {
  let scales = scales_of(words, group, GROUPS);
  return QuadColumns(
    scales.x * dot_columns(words.a, x), scales.y * dot_columns(words.b, x),
    scales.z * dot_columns(words.c, x), scales.w * dot_columns(words.d, x),
  );
}

fn share_sums(products: QuadColumns, quad: u32, index: u32) {
  let lane = index % SUBGROUP;
  let sum = sum_quad(products, lane);
  if (lane < 4u) { lane_sums[(quad * PARTS + index / SUBGROUP) * 4u + summed_row(lane)] = sum; }
}

// All products of a workgroup, for `lane_total`; every invocation must call it.
fn multiply(workgroup: u32, index: u32) {
  let group = min(index, GROUPS - 1u);
  let x = keep_columns(index);
  var next = load_quad(workgroup, 0u, 0u, group);
  var next_second = load_quad(workgroup, 0u, ROWS - 4u, group);
  for (var team = 0u; team < SETS; team++) {
    let words = next;
    let second_words = next_second;
    // After the last set its rows again: cheaper than a branch around the loads.
    let following = min(team + 1u, SETS - 1u);
    next = load_quad(workgroup, following, 0u, group);
    if (QUADS == 2u) { next_second = load_quad(workgroup, following, 4u, group); }
    let products = dot_quad(words, x, group);
    if (QUADS == 2u) {
      let second_products = dot_quad(second_words, x, group);
      share_sums(second_products, team * 2u + 1u, index);
    }
    share_sums(products, team * QUADS, index);
  }
  workgroupBarrier();
}

// A set's sum; any invocation may ask.
fn lane_total(value: u32, team: u32) -> vec4f {
  let column = value / QUADS;
  let first = (team * QUADS + value % QUADS) * PARTS * 4u;
  var total = vec4f(0);
  for (var place = first; place < first + PARTS * 4u; place += 4u) {
    total += vec4f(
      lane_sums[place][column], lane_sums[place + 1u][column],
      lane_sums[place + 2u][column], lane_sums[place + 3u][column],
    );
  }
  return total;
}
