import { roundToInt8Digits } from './int8-activations.reference.ts';
import { matvecReference } from './matvec.reference.ts';
import { ropeAppendReference, type RopeAppendSizes, type TokenPlace } from './rope-append.reference.ts';

/** CPU twin of `matvec-int8.wgsl`: x [columns, K], rounded to digits, and weight [N, K] to [columns, N]. */
export function matvecInt8Reference(
  x: Float32Array,
  weight: Float32Array,
  sizes: { N: number; K: number },
): Float32Array {
  return matvecReference(roundToInt8Digits(x), weight, sizes);
}

/**
 * CPU twin of `matvec-int8.wgsl` with `preludes/store4-rope.wgsl`: the product of x [columns, K] and weight
 * [(H + 2 KV) D, K] goes the way of `ropeAppendReference`.
 */
export function ropeQkvInt8Reference(
  { x, weight, bias, rope }: Record<'x' | 'weight' | 'bias' | 'rope', Float32Array>,
  tokens: readonly TokenPlace[],
  cache: Record<'keys' | 'values', Float32Array>,
  sizes: RopeAppendSizes,
): Float32Array {
  const qkv = matvecInt8Reference(x, weight, { N: bias.length, K: x.length / tokens.length });
  return ropeAppendReference({ qkv, bias, rope }, tokens, cache, sizes);
}
