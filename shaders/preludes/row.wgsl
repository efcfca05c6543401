// One token of a step: a column of a decode batch, or a token of a prefill chunk.
struct Row {
  // Time, row and column position for M-RoPE.
  position: vec3u,
  // Vocabulary id; with IMAGE_FLAG set, the index of an image feature row instead.
  token: u32,
  // Where its key and value go in the KV cache.
  cache_index: u32,
  // Which sequence's part of the cache.
  slot: u32,
  // Tokens generated so far for its sequence: the random generator's counter.
  generated: u32,
  // Not 0: a kernel that counts its workgroups does only that.
  is_counting: u32,
}
const IMAGE_FLAG = 0x80000000u;
