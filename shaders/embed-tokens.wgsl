// hidden[t] = embedding of rows[t].token, or the image feature row that the token points at.
// Ids outside [FIRST_ID, FIRST_ID + ID_COUNT) are left to the dispatch that holds their part of the table.

override K: u32;
override FIRST_ID: u32 = 0u;
override ID_COUNT: u32;

@group(0) @binding(3) var<storage, read> rows: array<Row>;
@group(0) @binding(4) var<storage, read> features: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> hidden: array<vec4f>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) index: u32) {
  let token = rows[workgroup.x].token;
  let output = workgroup.x * (K / 4u);
  if ((token & IMAGE_FLAG) != 0u) {
    let feature = (token & ~IMAGE_FLAG) * (K / 4u);
    for (var i = index; i < K / 4u; i += 64u) {
      hidden[output + i] = features[feature + i];
    }
    return;
  }
  if (token < FIRST_ID || token >= FIRST_ID + ID_COUNT) {
    return;
  }
  for (var unit = index; unit < K / 8u; unit += 64u) {
    let values = weight8(token - FIRST_ID, unit);
    hidden[output + unit * 2u] = values[0];
    hidden[output + unit * 2u + 1u] = values[1];
  }
}
