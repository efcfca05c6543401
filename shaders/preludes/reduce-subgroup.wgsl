enable subgroups;
// The same functions as reduce-workgroup.wgsl by subgroup operations: two barriers instead of one a level.
// The subgroup's size is read at run time (4 to 128); nothing assumes 32.
// Expects: const WORKGROUP. Every invocation must call, and every one gets the result.

const MOST_REDUCED = (WORKGROUP + 3u) / 4u;
var<workgroup> reduce_scratch: array<vec4f, MOST_REDUCED>;
var<workgroup> reduce_parts: array<f32, MOST_REDUCED>;

fn reduce_sum4(value: vec4f, index: u32) -> vec4f {
  let size = subgroupAdd(1u);
  let partial = subgroupAdd(value);
  if (index % size == 0u) {
    reduce_scratch[index / size] = partial;
  }
  workgroupBarrier();
  var total = vec4f(0);
  for (var i = 0u; i < (WORKGROUP + size - 1u) / size; i++) {
    total += reduce_scratch[i];
  }
  workgroupBarrier();
  return total;
}

fn reduce_sum(value: f32, index: u32) -> f32 {
  let size = subgroupAdd(1u);
  let partial = subgroupAdd(value);
  if (index % size == 0u) {
    reduce_parts[index / size] = partial;
  }
  workgroupBarrier();
  // The subgroups' sums are added by each subgroup again.
  var part = 0f;
  for (var i = index % size; i < (WORKGROUP + size - 1u) / size; i += size) {
    part += reduce_parts[i];
  }
  let total = subgroupAdd(part);
  workgroupBarrier();
  return total;
}

fn reduce_max(value: f32, index: u32) -> f32 {
  let size = subgroupAdd(1u);
  let partial = subgroupMax(value);
  if (index % size == 0u) {
    reduce_parts[index / size] = partial;
  }
  workgroupBarrier();
  var part = reduce_parts[0];
  for (var i = index % size; i < (WORKGROUP + size - 1u) / size; i += size) {
    part = max(part, reduce_parts[i]);
  }
  let largest = subgroupMax(part);
  workgroupBarrier();
  return largest;
}
