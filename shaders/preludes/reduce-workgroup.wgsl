// Sums and maxima over a workgroup through its memory; works on every adapter.
// Expects: const WORKGROUP, a power of two. Every invocation must call, and every one gets the result.

var<workgroup> reduce_scratch: array<f32, WORKGROUP>;
var<workgroup> reduce_scratch4: array<vec4f, WORKGROUP>;

fn reduce_sum(value: f32, index: u32) -> f32 {
  reduce_scratch[index] = value;
  workgroupBarrier();
  for (var stride = WORKGROUP / 2u; stride > 0u; stride >>= 1u) {
    if (index < stride) {
      reduce_scratch[index] += reduce_scratch[index + stride];
    }
    workgroupBarrier();
  }
  let total = reduce_scratch[0];
  workgroupBarrier();
  return total;
}

fn reduce_sum4(value: vec4f, index: u32) -> vec4f {
  reduce_scratch4[index] = value;
  workgroupBarrier();
  for (var stride = WORKGROUP / 2u; stride > 0u; stride >>= 1u) {
    if (index < stride) {
      reduce_scratch4[index] += reduce_scratch4[index + stride];
    }
    workgroupBarrier();
  }
  let total = reduce_scratch4[0];
  workgroupBarrier();
  return total;
}

fn reduce_max(value: f32, index: u32) -> f32 {
  reduce_scratch[index] = value;
  workgroupBarrier();
  for (var stride = WORKGROUP / 2u; stride > 0u; stride >>= 1u) {
    if (index < stride) {
      reduce_scratch[index] = max(reduce_scratch[index], reduce_scratch[index + stride]);
    }
    workgroupBarrier();
  }
  let largest = reduce_scratch[0];
  workgroupBarrier();
  return largest;
}
