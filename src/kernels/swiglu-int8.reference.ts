import { roundToInt8Digits } from './int8-activations.reference.ts';
import { swigluReference } from './swiglu.reference.ts';

/** CPU twin of `swiglu-int8.wgsl`: as `swigluReference`, to the values that the digits stand for. */
export function swigluInt8Reference(x: Float32Array, F: number): Float32Array {
  return roundToInt8Digits(swigluReference(x, F));
}
