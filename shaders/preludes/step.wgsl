// What changes from one step to the next, for all rows of a dispatch. Bound by every kernel that needs it.
struct Step {
  // Rows that are computed: tokens, patches or merged patches.
  row_count: u32,
  // Patch grid of the image; 0 for text.
  grid_rows: u32,
  grid_columns: u32,
  // KV slot of a prefill chunk.
  slot: u32,
  // Cache index of the chunk's first token.
  cache_start: u32,
  reserved0: u32,
  reserved1: u32,
  reserved2: u32,
}
@group(0) @binding(9) var<uniform> step: Step;
