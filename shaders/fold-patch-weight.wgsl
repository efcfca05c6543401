// Patch embedding folded for still images: both frames are equal, so their weights can be added.
// source [rows, IN, FRAMES, AREA] to rows FIRST_ROW... of folded [C, PADDED] f32, zero beyond IN * AREA.

override K: u32;
override IN: u32;
override FRAMES: u32;
override AREA: u32;
override PADDED: u32;
override FIRST_ROW: u32;

@group(0) @binding(3) var<storage, read_write> folded: array<f32>;

fn source_value(row: u32, k: u32) -> f32 {
  return weight8(row, k / 8u)[(k / 4u) % 2u][k % 4u];
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= PADDED) {
    return;
  }
  var sum = 0f;
  if (id.x < IN * AREA) {
    let channel = id.x / AREA;
    for (var frame = 0u; frame < FRAMES; frame++) {
      sum += source_value(id.y, (channel * FRAMES + frame) * AREA + id.x % AREA);
    }
  }
  folded[(FIRST_ROW + id.y) * PADDED + id.x] = sum;
}
