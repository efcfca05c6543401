// The same digits as emit-int8.wgsl, made by eight neighbouring invocations that hold four values each: short
// rows leave a GPU nearly idle when one invocation takes 32 values.
// Expects: const WORKGROUP, a multiple of 8. Every invocation must call.

@group(0) @binding(6) var<storage, read_write> codes: array<vec2u>;
@group(0) @binding(7) var<storage, read_write> totals: array<vec2f>;

// Bits of 2^-116, as in emit-int8.wgsl.
const SMALLEST = 0x05800000u;

var<workgroup> emit_largest: array<u32, WORKGROUP>;
var<workgroup> emit_sums: array<f32, WORKGROUP>;
var<workgroup> emit_digits: array<vec2u, WORKGROUP>;

// Bytes 0 and 2 of both words: values k, k + 2, k + 4, k + 6.
fn even_bytes(a: u32, b: u32) -> u32 {
  return (a & 0xffu) | ((a >> 8u) & 0xff00u) | ((b & 0xffu) << 16u) | ((b & 0xff0000u) << 8u);
}

fn odd_bytes(a: u32, b: u32) -> u32 {
  return even_bytes(a >> 8u, b >> 8u);
}

// Writes the invocation's four values, number `quad` of all rows together; `quad % 8` equals `index % 8`.
fn emit_quad(quad: u32, value: vec4f, index: u32, is_valid: bool) {
  // By their bits, so that a NaN is the largest: see emit-int8.wgsl.
  let magnitudes = bitcast<vec4u>(value) & vec4u(0x7fffffffu);
  emit_largest[index] = max(max(magnitudes.x, magnitudes.y), max(magnitudes.z, magnitudes.w));
  workgroupBarrier();
  let first = index & ~7u;
  var largest = SMALLEST;
  for (var i = 0u; i < 8u; i++) {
    largest = max(largest, emit_largest[first + i]);
  }
  let scale = bitcast<f32>(largest) / 127.0;
  let scaled = value * (1.0 / scale);
  let high = clamp(round(scaled), vec4f(-127), vec4f(127));
  let low = clamp(round((scaled - high) * 254.0), vec4f(-127), vec4f(127));
  emit_digits[index] = vec2u(pack4xI8(vec4i(high)), pack4xI8(vec4i(low)));
  emit_sums[index] = dot(high + low / 254.0, vec4f(1));
  workgroupBarrier();
  if (is_valid) {
    // Of a pair of invocations one writes the high digits of their eight values and one the low digits.
    let pair = index & ~1u;
    let digit = index & 1u;
    let a = emit_digits[pair][digit];
    let b = emit_digits[pair + 1u][digit];
    codes[(quad / 8u) * 8u + digit * 4u + (quad % 8u) / 2u] = vec2u(even_bytes(a, b), odd_bytes(a, b));
    if (quad % 8u == 0u) {
      var sum = 0f;
      for (var i = 0u; i < 8u; i++) {
        sum += emit_sums[first + i];
      }
      totals[quad / 8u] = vec2f(scale, 7.0 * scale * sum);
    }
  }
  workgroupBarrier();
}
