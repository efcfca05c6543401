// Activations as 15-bit integers in two int8 digits, 32 of them with one scale:
//   x ~ step * (254 high + low), |high|, |low| <= 127, error below max|x| / 64000.
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

// Bits of 2^-116. Smaller magnitudes count as this one: 1 / scale must stay finite.
const SMALLEST = 0x05800000u;

var<workgroup> round_largest: array<u32, WORKGROUP>;
var<workgroup> round_sums: array<f32, WORKGROUP>;

fn pack_even(a: vec4f, b: vec4f) -> u32 { return pack4xI8(vec4i(vec4f(a.xz, b.xz))); }
fn pack_odd(a: vec4f, b: vec4f) -> u32 { return pack4xI8(vec4i(vec4f(a.yw, b.yw))); }

fn largest_bits(a: vec4f, b: vec4f) -> u32 {
  // By their bits, which order as the magnitudes do: a NaN is then the largest and makes the scale, and with it every
  // product, NaN, where max() of floats may drop it and so hide damaged weights.
  let bits = max(bitcast<vec4u>(a) & vec4u(0x7fffffffu), bitcast<vec4u>(b) & vec4u(0x7fffffffu));
  return max(max(bits.x, bits.y), max(bits.z, bits.w));
}

fn digit_of(scaled: vec4f) -> vec4f {
  return clamp(round(scaled), vec4f(-127), vec4f(127));
}

// What the largest magnitude of a group, given by its bits, makes 127.
fn scale_of(largest: u32) -> f32 { return bitcast<f32>(max(SMALLEST, largest)) / 127.0; }

struct OctetDigits {
  words: vec4u,
  // Of the rounded values, in units of the scale.
  sum: f32,
}

// The digits of eight values that were divided by their group's scale.
fn split_octet(a: vec4f, b: vec4f) -> OctetDigits {
  let high_a = digit_of(a);
  let high_b = digit_of(b);
  let low_a = digit_of((a - high_a) * 254.0);
  let low_b = digit_of((b - high_b) * 254.0);
  return OctetDigits(
    vec4u(pack_even(high_a, high_b), pack_odd(high_a, high_b), pack_even(low_a, low_b), pack_odd(low_a, low_b)),
    dot(high_a + high_b + (low_a + low_b) / 254.0, vec4f(1)),
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
  let scale = scale_of(largest);
  let octet = split_octet(a * (1.0 / scale), b * (1.0 / scale));
  round_sums[index] = octet.sum;
  workgroupBarrier();
  let sum = round_sums[first] + round_sums[first + 1u] + round_sums[first + 2u] + round_sums[first + 3u];
  return Digits(octet.words, vec2f(scale / 254.0, 7.0 * scale * sum));
}
