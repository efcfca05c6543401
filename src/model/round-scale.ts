/** 2^42 + 1: multiplying a double by it and subtracting leaves its leading 11 bits (Veltkamp's split). */
const SPLITTER = 4398046511105;

/** Adding and subtracting this rounds to a multiple of 2^-24, the step of f16 below 2^-14. */
const ROUND_TO_SUBNORMAL = 402653184; // 1.5 * 2^28

/** The f16 value nearest to a double, as a double; no overflow check. Faster than going through bits. */
export function roundToFloat16(value: number): number {
  if (value < 2 ** -14 && value > -(2 ** -14)) return value + ROUND_TO_SUBNORMAL - ROUND_TO_SUBNORMAL;
  const spread = value * SPLITTER;
  return spread - (spread - value);
}
