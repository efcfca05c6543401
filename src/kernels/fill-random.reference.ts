/** CPU twin of `fill-random.wgsl`. */
export function fillRandomReference(count: number, seed: number, keep: number, force: number): Uint32Array {
  return Uint32Array.from(
    { length: count },
    (_, index) => ((hash((index ^ hash(seed)) >>> 0) & keep) | force) >>> 0,
  );
}

function hash(value: number): number {
  const state = (Math.imul(value, 747796405) + 2891336453) >>> 0;
  const word = Math.imul(((state >>> ((state >>> 28) + 4)) ^ state) >>> 0, 277803737) >>> 0;
  return ((word >>> 22) ^ word) >>> 0;
}
