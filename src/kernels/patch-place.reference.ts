/** CPU twin of `preludes/patch-place.wgsl`: row and column of a patch in merge x merge blocks, blocks row by row. */
export function patchPlaceReference(
  patch: number,
  gridColumns: number,
  merge: number,
): { row: number; column: number } {
  const block = Math.floor(patch / (merge * merge));
  const inside = patch % (merge * merge);
  const blocksPerRow = gridColumns / merge;
  return {
    row: Math.floor(block / blocksPerRow) * merge + Math.floor(inside / merge),
    column: (block % blocksPerRow) * merge + (inside % merge),
  };
}
