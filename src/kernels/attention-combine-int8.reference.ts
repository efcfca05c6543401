import { attentionCombineReference } from './attention-combine.reference.ts';
import { roundToInt8Digits } from './int8-activations.reference.ts';

/** CPU twin of `attention-combine-int8.wgsl`: as `attentionCombineReference`, to what the digits stand for. */
export function attentionCombineInt8Reference(
  ...inputs: Parameters<typeof attentionCombineReference>
): Float32Array {
  return roundToInt8Digits(attentionCombineReference(...inputs));
}
