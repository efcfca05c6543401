import { roundToInt8Digits } from './int8-activations.reference.ts';
import { matmulReference } from './matmul.reference.ts';

/** CPU twin of `matmul-int8.wgsl`: x [rows, K], rounded to digits, and weight [N, K] to [rows, N]. */
export function matmulInt8Reference(
  x: Float32Array,
  weight: Float32Array,
  sizes: { N: number; K: number },
): Float32Array {
  return matmulReference(roundToInt8Digits(x), weight, sizes);
}
