import { matvecInt8Reference } from './matvec-int8.reference.ts';
import { swigluReference } from './swiglu.reference.ts';

/**
 * CPU twin of `gate-up-int8.wgsl` before its output is rounded: x [columns, K], rounded to digits, and weight
 * [2 F, K] to [columns, F].
 */
export function gateUpInt8Reference(
  x: Float32Array,
  weight: Float32Array,
  { F, K }: { F: number; K: number },
): Float32Array {
  return swigluReference(matvecInt8Reference(x, weight, { N: 2 * F, K }), F);
}
