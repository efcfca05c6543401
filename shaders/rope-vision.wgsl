// Splits the vision tower's qkv, rotates q and k by the patch's row and column, and lays k, v out as a
// cache [H, P, D] so that the same attention kernel reads them.
// Half-split order: dimensions i and i + D/2 form a pair; i < D/4 turns by the row, the rest by the column.
// One invocation two neighbouring dimensions of the lower half and their partners.

override H: u32;
override D: u32;
override MERGE: u32;

@group(0) @binding(0) var<storage, read> qkv: array<vec2f>;
// cos and sin [position, D / 4]
@group(0) @binding(1) var<storage, read> rope: array<vec2f>;
@group(0) @binding(2) var<storage, read_write> q: array<vec2f>;
@group(0) @binding(3) var<storage, read_write> keys: array<CachePair>;
@group(0) @binding(4) var<storage, read_write> values: array<CachePair>;

fn turn_of(i: u32, place: vec2u) -> vec2f {
  let quarter = D / 4u;
  if (i < quarter) { return rope[place.x * quarter + i]; }
  return rope[place.y * quarter + i - quarter];
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let quarter = D / 4u;
  if (id.x >= 3u * H * quarter) {
    return;
  }
  let patch_index = id.y;
  let part = id.x / (H * quarter);
  let head = (id.x / quarter) % H;
  let i = (id.x % quarter) * 2u;
  let source = (patch_index * 3u * H + part * H + head) * (D / 2u) + i / 2u;
  var low = qkv[source];
  var high = qkv[source + quarter];
  if (part < 2u) {
    let place = patch_place(patch_index, step.grid_columns, MERGE);
    let first = turn_of(i, place);
    let second = turn_of(i + 1u, place);
    let cosine = vec2f(first.x, second.x);
    let sine = vec2f(first.y, second.y);
    let turned = low * cosine - high * sine;
    high = high * cosine + low * sine;
    low = turned;
  }
  if (part == 0u) {
    let output = (patch_index * H + head) * (D / 2u) + i / 2u;
    q[output] = low;
    q[output + quarter] = high;
    return;
  }
  let output = (head * step.row_count + patch_index) * (D / 2u) + i / 2u;
  if (part == 1u) {
    keys[output] = pack_pair(low);
    keys[output + quarter] = pack_pair(high);
  } else {
    values[output] = pack_pair(low);
    values[output + quarter] = pack_pair(high);
  }
}
