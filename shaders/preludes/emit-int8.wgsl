// Activations as 15-bit integers in two int8 digits, 32 of them with one scale:
//   x ~ scale * (high + low / 254), |high|, |low| <= 127, error below max|x| / 64000.
// One digit would err by 0.4% of the largest value, too much for the reference's logits.
// Stored so that the even and the odd nibbles of a 4-bit weight word each meet one word of activations:
// codes [rows, K / 32, 4] are two vectors of high and two of low digits (even, odd, even, odd words);
// totals [rows, K / 32] are the scale and 7 times the sum of the rounded values (7 is the weights' zero point).

@group(0) @binding(6) var<storage, read_write> codes: array<vec4u>;
@group(0) @binding(7) var<storage, read_write> totals: array<vec2f>;

// Bits of 2^-116. Smaller magnitudes count as this one: 1 / scale must stay finite.
const SMALLEST = 0x05800000u;

fn pack_even(a: vec4i, b: vec4i) -> u32 { return pack4xI8(vec4i(a.x, a.z, b.x, b.z)); }
fn pack_odd(a: vec4i, b: vec4i) -> u32 { return pack4xI8(vec4i(a.y, a.w, b.y, b.w)); }

// Writes group number `group` (counted over all rows) from its 32 values.
fn emit_group(group: u32, values: array<vec4f, 8>) {
  // By their bits, which order as the magnitudes do: a NaN is then the largest and makes the scale, and with it every
  // product, NaN, where max() of floats may drop it and so hide damaged weights.
  var largest = vec4u(SMALLEST);
  for (var i = 0u; i < 8u; i++) {
    largest = max(largest, bitcast<vec4u>(values[i]) & vec4u(0x7fffffffu));
  }
  let scale = bitcast<f32>(max(max(largest.x, largest.y), max(largest.z, largest.w))) / 127.0;
  let inverse = 1.0 / scale;
  var high: array<vec4i, 8>;
  var low: array<vec4i, 8>;
  var sum = vec4f(0);
  for (var i = 0u; i < 8u; i++) {
    let scaled = values[i] * inverse;
    let digit = clamp(round(scaled), vec4f(-127), vec4f(127));
    let rest = clamp(round((scaled - digit) * 254.0), vec4f(-127), vec4f(127));
    high[i] = vec4i(digit);
    low[i] = vec4i(rest);
    sum += digit + rest / 254.0;
  }
  for (var half = 0u; half < 2u; half++) {
    let i = half * 4u;
    codes[group * 4u + half] = vec4u(
      pack_even(high[i], high[i + 1u]), pack_odd(high[i], high[i + 1u]),
      pack_even(high[i + 2u], high[i + 3u]), pack_odd(high[i + 2u], high[i + 3u]),
    );
    codes[group * 4u + 2u + half] = vec4u(
      pack_even(low[i], low[i + 1u]), pack_odd(low[i], low[i + 1u]),
      pack_even(low[i + 2u], low[i + 3u]), pack_odd(low[i + 2u], low[i + 3u]),
    );
  }
  totals[group] = vec2f(scale, 7.0 * scale * dot(sum, vec4f(1)));
}
