// A decode attention's keys lie in runs of 32, which the splits take in turns: those that run at the same time read
// neighbouring memory. In shares of a power of two they would all ask the same channels of it.
const RUN = 32u;
fn splits_in_use(key_count: u32, splits: u32) -> u32 {
  return min(splits, (key_count + RUN - 1u) / RUN);
}
// The tile of `length` keys, a part of a run, behind another one of the same split.
fn next_tile(tile: u32, length: u32, splits: u32) -> u32 {
  let next = tile + length;
  return select(next, next + (splits - 1u) * RUN, next % RUN == 0u);
}
