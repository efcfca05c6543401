// The given token of each row comes from a list, such as the next tokens of a prompt; results are in order of rows.
@group(0) @binding(3) var<storage, read> targets: array<u32>;

fn target_of(row: u32) -> u32 {
  return targets[row];
}

fn place_of(row: u32) -> u32 {
  return row;
}
