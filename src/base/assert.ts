import { AutoglmError } from './errors.ts';

/** Throws an `internal` error when a condition that the code itself guarantees does not hold. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AutoglmError('internal', `Broken invariant: ${message}`);
}
