// Products of sets of ROWS rows of a 4-bit weight with COLUMNS rows of activations in int8 digits, side by side: each
// set is shared by LANES invocations, which read the activations again for each of their groups.
// Expects: const LANES, WORKGROUP, `sum_lanes` (preludes/lanes-*.wgsl), and the weight and `row_of` from the shader.

const SETS = WORKGROUP / LANES;
const ROUNDS = (GROUPS + LANES - 1u) / LANES;
const IS_EVEN = GROUPS % LANES == 0u;

// A lane's part of the sums; `starts` are the rows' first groups.
fn dot_rows(starts: array<u32, ROWS>, lane: u32) -> array<vec4f, VALUES> {
  var sums: array<vec4f, VALUES>;
  var words: array<vec4u, ROWS>;
  var scales: array<f32, ROWS>;
  for (var round = 0u; round < ROUNDS; round++) {
    // Past the end a lane loads its row's last group again: cheaper than a branch around the loads, and never added.
    let group = min(lane + round * LANES, GROUPS - 1u);
    // All loads before their use, so that they are in flight together.
    for (var i = 0u; i < ROWS; i++) {
      let place = starts[i] + group;
      words[i] = weight[place];
      let pair = unpack2x16float(weight_scale[place / 2u]);
      scales[i] = select(pair.x, pair.y, place % 2u == 1u);
    }
    if (IS_EVEN || lane + round * LANES < GROUPS) {
      for (var column = 0u; column < COLUMNS; column++) {
        let x = planes_of(column, group);
        for (var quad = 0u; quad < QUADS; quad++) {
          var products: vec4f;
          for (var i = 0u; i < 4u; i++) {
            products[i] = dot_group(words[quad * 4u + i], x);
          }
          let scale = vec4f(
            scales[quad * 4u], scales[quad * 4u + 1u], scales[quad * 4u + 2u], scales[quad * 4u + 3u],
          );
          sums[column * QUADS + quad] += scale * products;
        }
      }
    }
  }
  return sums;
}

// All products of a workgroup, for `lane_total`; every invocation must call it.
fn multiply(workgroup: u32, index: u32) {
  var starts: array<u32, ROWS>;
  for (var i = 0u; i < ROWS; i++) {
    starts[i] = row_of(workgroup, index / LANES, i) * GROUPS;
  }
  sum_lanes(dot_rows(starts, index % LANES), index);
}
