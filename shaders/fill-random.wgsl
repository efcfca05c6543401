// words[i] = hash(seed, i) & KEEP | FORCE: seeded random bits with some of them fixed, so that they read as
// numbers of an ordinary size in the format that the buffer holds.

override COUNT: u32;
override SEED: u32;
override KEEP: u32;
override FORCE: u32;

@group(0) @binding(0) var<storage, read_write> words: array<u32>;

// PCG of O'Neill, "PCG: A Family of Simple Fast Space-Efficient Statistically Good Algorithms" (2014), 32 bits.
fn hash(value: u32) -> u32 {
  let state = value * 747796405u + 2891336453u;
  let word = ((state >> ((state >> 28u) + 4u)) ^ state) * 277803737u;
  return (word >> 22u) ^ word;
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) index: u32) {
  let i = (workgroup.y * 32768u + workgroup.x) * 256u + index;
  if (i < COUNT) {
    words[i] = (hash(i ^ hash(SEED)) & KEEP) | FORCE;
  }
}
