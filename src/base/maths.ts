/** `ceil(a / b)` for non-negative integers. */
export function ceilDivide(a: number, b: number): number {
  return Math.floor((a + b - 1) / b);
}

/** The smallest multiple of `step` that is at least `value`. */
export function roundUp(value: number, step: number): number {
  return ceilDivide(value, step) * step;
}

/** Rounds halves to the even neighbour, as Python's `round` and IEEE 754 do. */
export function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}

/** Product of all elements; 1 for none. */
export function product(values: readonly number[]): number {
  return values.reduce((total, value) => total * value, 1);
}
