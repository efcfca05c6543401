// How many keys each split of a decode attention takes: even shares in whole tiles of 32.
fn keys_per_split(key_count: u32, splits: u32) -> u32 {
  let even = (key_count + splits - 1u) / splits;
  return (even + 31u) / 32u * 32u;
}
