// Row and column of a patch: patches come in merge x merge blocks, blocks row by row.
fn patch_place(patch_index: u32, grid_columns: u32, merge: u32) -> vec2u {
  let block = patch_index / (merge * merge);
  let inside = patch_index % (merge * merge);
  let blocks_a_row = grid_columns / merge;
  return vec2u(
    (block / blocks_a_row) * merge + inside / merge,
    (block % blocks_a_row) * merge + inside % merge,
  );
}
