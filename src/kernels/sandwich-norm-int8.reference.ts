import { roundToInt8Digits } from './int8-activations.reference.ts';
import { sandwichNormReference } from './sandwich-norm.reference.ts';

/** CPU twin of `sandwich-norm-int8.wgsl`: as `sandwichNormReference`, with y as its digits stand for it. */
export function sandwichNormInt8Reference(
  ...inputs: Parameters<typeof sandwichNormReference>
): ReturnType<typeof sandwichNormReference> {
  const { hidden, y } = sandwichNormReference(...inputs);
  return { hidden, y: roundToInt8Digits(y) };
}
