// The given token of each row is the one that sample-token has just chosen; results are in a ring for each slot.
override RING: u32;
@group(0) @binding(3) var<storage, read> rows: array<Row>;

fn target_of(row: u32) -> u32 {
  return rows[row].token;
}

fn place_of(row: u32) -> u32 {
  return rows[row].slot * RING + (rows[row].generated - 1u) % RING;
}
