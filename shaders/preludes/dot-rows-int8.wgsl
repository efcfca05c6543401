// Products of ROWS rows of a 4-bit weight (q4f16_1) with COLUMNS rows of activations in int8 digits
// (preludes/round-int8.wgsl), shared by LANES invocations. One 16-byte load is one group of 32 weights; its nibbles
// meet the digits in dot4I8Packed, so a weight costs about one instruction.
// The zero point goes through the sum of the activations: (q - 7) x = q x - 7 x.
// Expects: const GROUPS (K / 32), COLUMNS, ROWS (a multiple of 4), LANES.

@group(0) @binding(0) var<storage, read> x_codes: array<vec4u>;
@group(0) @binding(1) var<storage, read> weight: array<vec4u>;
@group(0) @binding(2) var<storage, read> weight_scale: array<u32>;
@group(0) @binding(9) var<storage, read> x_totals: array<vec2f>;

const NIBBLES = vec4u(0x0f0f0f0fu);
const QUADS = ROWS / 4u;
// Vectors of four sums: value v is column v / QUADS, rows 4 (v % QUADS)...
const VALUES = COLUMNS * QUADS;
const ROUNDS = (GROUPS + LANES - 1u) / LANES;
const IS_EVEN = GROUPS % LANES == 0u;

fn dot_plane(weights: vec4u, digits: vec4u) -> i32 {
  return dot4I8Packed(weights.x, digits.x) + dot4I8Packed(weights.y, digits.y)
    + dot4I8Packed(weights.z, digits.z) + dot4I8Packed(weights.w, digits.w);
}

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
        let x = column * 4u * GROUPS + group;
        let even_high = x_codes[x];
        let odd_high = x_codes[x + GROUPS];
        let even_low = x_codes[x + 2u * GROUPS];
        let odd_low = x_codes[x + 3u * GROUPS];
        let total = x_totals[column * GROUPS + group];
        for (var quad = 0u; quad < QUADS; quad++) {
          var products: vec4f;
          for (var i = 0u; i < 4u; i++) {
            let even = words[quad * 4u + i] & NIBBLES;
            let odd = (words[quad * 4u + i] >> vec4u(4u)) & NIBBLES;
            let high = dot_plane(even, even_high) + dot_plane(odd, odd_high);
            let low = dot_plane(even, even_low) + dot_plane(odd, odd_low);
            // Below 2^24, so exact.
            products[i] = f32(high * 256 + low);
          }
          let scale = vec4f(
            scales[quad * 4u], scales[quad * 4u + 1u], scales[quad * 4u + 2u], scales[quad * 4u + 3u],
          );
          sums[column * QUADS + quad] += scale * (total.x * products - total.y);
        }
      }
    }
  }
  return sums;
}
