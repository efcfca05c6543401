// Activations as 16-bit integers in two int8 digits, 32 of them with one scale:
//   x ~ step * (256 high + low), |x| = 32512 steps at most, error below max|x| / 64000.
// One digit would err by 0.4% of the largest value, too much for the reference's logits.
// The digits of eight values are four words, so that the even and the odd nibbles of a 4-bit weight word each meet one.
// Four neighbouring invocations make a group of 32, from eight values each.
// Expects: const WORKGROUP, a multiple of 4. Every invocation must call.

struct Digits {
  // Even high, odd high, even low, odd low.
  words: vec4u,
  // Of the whole group: the step, and 7 times the sum of the rounded values (7 is the weights' zero point).
  total: vec2f,
}

// Bits of 2^-108. Smaller magnitudes count as this one: 1 / step must stay finite.
const SMALLEST = 0x09800000u;

var<workgroup> round_largest: array<u32, WORKGROUP>;
var<workgroup> round_sums: array<i32, WORKGROUP>;

fn largest_bits(a: vec4f, b: vec4f) -> u32 {
  // By their bits, which order as the magnitudes do: a NaN is then the largest and makes the scale, and with it every
  // product, NaN, where max() of floats may drop it and so hide damaged weights.
  let bits = max(bitcast<vec4u>(a) & vec4u(0x7fffffffu), bitcast<vec4u>(b) & vec4u(0x7fffffffu));
  return max(max(bits.x, bits.y), max(bits.z, bits.w));
}

// What makes 32512 of the largest magnitude of a group, given by its bits.
fn step_of(largest: u32) -> f32 { return bitcast<f32>(max(SMALLEST, largest)) / 32512.0; }

struct OctetDigits {
  words: vec4u,
  // Of the rounded values, in steps.
  sum: i32,
}

// 1.5 * 2^23: added to a float below 2^22 it leaves the nearest integer in the low bits, in two's complement.
const INTEGER = 12582912.0;
const INTEGER_BITS = 0x4b400000u;

// The second byte of each of four integers.
fn second_bytes(a: u32, b: u32, c: u32, d: u32) -> u32 {
  return ((a >> 8u) & 0xffu) | (b & 0xff00u) | ((c & 0xff00u) << 8u) | ((d & 0xff00u) << 16u);
}

fn first_bytes(a: u32, b: u32, c: u32, d: u32) -> u32 {
  return (a & 0xffu) | ((b & 0xffu) << 8u) | ((c & 0xffu) << 16u) | (d << 24u);
}

// The digits of eight values that were divided by their group's step.
fn split_octet(a: vec4f, b: vec4f) -> OctetDigits {
  let p = bitcast<vec4u>(a + vec4f(INTEGER));
  let q = bitcast<vec4u>(b + vec4f(INTEGER));
  // The low byte is the low digit; where it is negative the high digit is one more than the byte above it.
  let r = p + vec4u(128u);
  let s = q + vec4u(128u);
  let sums = p + q;
  return OctetDigits(
    vec4u(
      second_bytes(r.x, r.z, s.x, s.z),
      second_bytes(r.y, r.w, s.y, s.w),
      first_bytes(p.x, p.z, q.x, q.z),
      first_bytes(p.y, p.w, q.y, q.w),
    ),
    bitcast<i32>(sums.x + sums.y + sums.z + sums.w - 8u * INTEGER_BITS),
  );
}

// Rounds eight values; those of the group's other three quarters belong to the other invocations of index / 4.
fn round_octet(a: vec4f, b: vec4f, index: u32) -> Digits {
  round_largest[index] = largest_bits(a, b);
  workgroupBarrier();
  let first = index & ~3u;
  let largest = max(
    max(round_largest[first], round_largest[first + 1u]),
    max(round_largest[first + 2u], round_largest[first + 3u]),
  );
  let step = step_of(largest);
  let octet = split_octet(a * (1.0 / step), b * (1.0 / step));
  round_sums[index] = octet.sum;
  workgroupBarrier();
  let sum = round_sums[first] + round_sums[first + 1u] + round_sums[first + 2u] + round_sums[first + 3u];
  return Digits(octet.words, vec2f(step, 7.0 * step * f32(sum)));
}
