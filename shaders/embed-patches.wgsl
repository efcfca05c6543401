// hidden[p] = rms(x[p]) * weight + position table sampled at the patch's place in the image.
// The table of SIDE x SIDE rows is read with bicubic interpolation (A = -0.75, half-pixel centres, border
// clamped): torch's grid_sample(mode="bicubic", align_corners=False, padding_mode="border").
// Patches come in MERGE x MERGE blocks, blocks row by row.

override C: u32;
override EPSILON: f32;
override SIDE: u32;
override MERGE: u32;

@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read> weight: array<vec4f>;
@group(0) @binding(2) var<storage, read> positions: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> hidden: array<vec4f>;

// Weights of the four taps around a point `t` beyond the second one.
fn cubic_weights(t: f32) -> vec4f {
  let a = -0.75;
  let far = vec2f(t + 1.0, 2.0 - t);
  let near = vec2f(t, 1.0 - t);
  let outer = ((a * far - 5.0 * a) * far + 8.0 * a) * far - 4.0 * a;
  let inner = ((a + 2.0) * near - (a + 3.0)) * near * near + 1.0;
  return vec4f(outer.x, inner.x, inner.y, outer.y);
}

// Table coordinate of patch `place` of `count` along one axis.
fn table_coordinate(place: u32, count: u32) -> f32 {
  let normalised = (f32(place) + 0.5) / f32(count) * 2.0 - 1.0;
  return ((normalised + 1.0) * f32(SIDE) - 1.0) / 2.0;
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) index: u32) {
  let patch_index = workgroup.x;
  let first = patch_index * (C / 4u);
  var squares = 0f;
  for (var i = index; i < C / 4u; i += WORKGROUP) {
    let value = x[first + i];
    squares += dot(value, value);
  }
  let scale = inverseSqrt(reduce_sum(squares, index) / f32(C) + EPSILON);

  let place = patch_place(patch_index, step.grid_columns, MERGE);
  let row = table_coordinate(place.x, step.grid_rows);
  let column = table_coordinate(place.y, step.grid_columns);
  let row_weights = cubic_weights(row - floor(row));
  let column_weights = cubic_weights(column - floor(column));
  let last = i32(SIDE) - 1;
  for (var i = index; i < C / 4u; i += WORKGROUP) {
    var sampled = vec4f(0);
    for (var r = 0; r < 4; r++) {
      let table_row = clamp(i32(floor(row)) - 1 + r, 0, last);
      var across = vec4f(0);
      for (var c = 0; c < 4; c++) {
        let table_column = clamp(i32(floor(column)) - 1 + c, 0, last);
        across += column_weights[c] * positions[u32(table_row * i32(SIDE) + table_column) * (C / 4u) + i];
      }
      sampled += row_weights[r] * across;
    }
    hidden[first + i] = x[first + i] * scale * weight[i] + sampled;
  }
}
