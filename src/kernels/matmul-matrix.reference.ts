import { widenFloat16 } from '../base/float16.ts';
import { matmulReference } from './matmul.reference.ts';
import { packHalvesReference } from './pack-halves.reference.ts';

/** CPU twin of `matmul-matrix.wgsl`: x [rows, K] and weight [N, K], each rounded to f16, to [rows, N]. */
export function matmulMatrixReference(
  x: Float32Array,
  weight: Float32Array,
  sizes: { N: number; K: number },
): Float32Array {
  return matmulReference(roundToHalves(x), roundToHalves(weight), sizes);
}

/** What is left of values in f16. */
export function roundToHalves(values: Float32Array): Float32Array<ArrayBuffer> {
  const rounded = new Float32Array(values.length);
  widenFloat16(packHalvesReference(values), rounded);
  return rounded;
}
