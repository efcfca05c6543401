enable subgroups;
// The same functions as reduce-workgroup.wgsl by subgroup operations: two barriers instead of one a level.
// The subgroup's size is read at run time (4 to 128); nothing assumes 32.
// Expects: const WORKGROUP. Every invocation must call, and every one gets the result.

var<workgroup> reduce_scratch: array<vec4f, WORKGROUP>;

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
  return reduce_sum4(vec4f(value, 0, 0, 0), index).x;
}

fn reduce_max(value: f32, index: u32) -> f32 {
  let size = subgroupAdd(1u);
  let partial = subgroupMax(value);
  if (index % size == 0u) {
    reduce_scratch[index / size].x = partial;
  }
  workgroupBarrier();
  var largest = reduce_scratch[0].x;
  for (var i = 1u; i < (WORKGROUP + size - 1u) / size; i++) {
    largest = max(largest, reduce_scratch[i].x);
  }
  workgroupBarrier();
  return largest;
}
