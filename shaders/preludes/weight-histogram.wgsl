// A histogram over the distances of tokens below the best one, with exact sums: what top_k and top_p are searched with.
// A distance is in fixed point with 27 fractional bits and a weight an integer, so that sums do not depend on the
// order of additions. Expects: const WORKGROUP, at least 16.

const BINS = 256u;
const GROUP = 16u;

// Tokens of a bin, and the low and high word of their summed weights.
var<workgroup> bin_count: array<atomic<u32>, BINS>;
var<workgroup> bin_low: array<atomic<u32>, BINS>;
var<workgroup> bin_high: array<atomic<u32>, BINS>;
var<workgroup> group_sums: array<vec2u, GROUP>;
var<workgroup> shared_bin: FoundBin;

struct FoundBin {
  bin: u32,
  count: u32,
  // Amounts (counts or weights, low and high word) asked for, in the bins before, and in this bin.
  wanted: vec2u,
  before: vec2u,
  within: vec2u,
}

fn add64(a: vec2u, b: vec2u) -> vec2u {
  let low = a.x + b.x;
  return vec2u(low, a.y + b.y + select(0u, 1u, low < a.x));
}

fn subtract64(a: vec2u, b: vec2u) -> vec2u {
  return vec2u(a.x - b.x, a.y - b.y - select(0u, 1u, a.x < b.x));
}

fn is_less64(a: vec2u, b: vec2u) -> bool {
  return a.y < b.y || (a.y == b.y && a.x < b.x);
}

fn scale64(a: vec2u, factor: f32) -> vec2u {
  let product = (f32(a.y) * 0x1p32f + f32(a.x)) * factor;
  let high = floor(product * 0x1p-32f);
  return vec2u(u32(product - high * 0x1p32f), u32(high));
}

fn clear_bins(index: u32) {
  for (var bin = index; bin < BINS; bin += WORKGROUP) {
    atomicStore(&bin_count[bin], 0u);
    atomicStore(&bin_low[bin], 0u);
    atomicStore(&bin_high[bin], 0u);
  }
  workgroupBarrier();
}

fn add_to_bin(bin: u32, weight: u32) {
  atomicAdd(&bin_count[bin], 1u);
  let old = atomicAdd(&bin_low[bin], weight);
  if (old + weight < old) {
    atomicAdd(&bin_high[bin], 1u);
  }
}

fn bin_amount(bin: u32, by_weight: bool) -> vec2u {
  if (by_weight) { return vec2u(atomicLoad(&bin_low[bin]), atomicLoad(&bin_high[bin])); }
  return vec2u(atomicLoad(&bin_count[bin]), 0u);
}

// The first bin up to which the amounts reach `wanted`, or, with a `share`, that share of all amounts.
fn find_bin(asked: vec2u, share: f32, by_weight: bool, index: u32) -> FoundBin {
  workgroupBarrier();
  if (index < GROUP) {
    var sum = vec2u(0);
    for (var i = 0u; i < BINS / GROUP; i++) {
      sum = add64(sum, bin_amount(index * (BINS / GROUP) + i, by_weight));
    }
    group_sums[index] = sum;
  }
  workgroupBarrier();
  if (index == 0u) {
    var wanted = asked;
    if (share > 0f) {
      var total = vec2u(0);
      for (var i = 0u; i < GROUP; i++) { total = add64(total, group_sums[i]); }
      wanted = scale64(total, share);
      if (all(wanted == vec2u(0))) { wanted.x = 1u; }
    }
    var bin = 0u;
    var before = vec2u(0);
    while (bin < BINS - BINS / GROUP) {
      let sum = add64(before, group_sums[bin / (BINS / GROUP)]);
      if (!is_less64(sum, wanted)) { break; }
      before = sum;
      bin += BINS / GROUP;
    }
    while (bin < BINS - 1u) {
      let sum = add64(before, bin_amount(bin, by_weight));
      if (!is_less64(sum, wanted)) { break; }
      before = sum;
      bin++;
    }
    shared_bin = FoundBin(bin, atomicLoad(&bin_count[bin]), wanted, before, bin_amount(bin, by_weight));
  }
  return workgroupUniformLoad(&shared_bin);
}
