import { rmsNormReference } from './rms-norm.reference.ts';

/**
 * CPU twin of `sandwich-norm.wgsl`: block output x [T, C], residual stream hidden [T, C] and both weights [C]
 * to the new residual stream and the next block's input, [T, C] each.
 */
export function sandwichNormReference(
  { x, hidden, postWeight, preWeight }: Record<'x' | 'hidden' | 'postWeight' | 'preWeight', Float32Array>,
  { C, epsilon }: { C: number; epsilon: number },
): { hidden: Float32Array; y: Float32Array } {
  const normed = rmsNormReference(x, postWeight, { C, epsilon });
  const sum = hidden.map((value, i) => value + normed[i]);
  return { hidden: sum, y: rmsNormReference(sum, preWeight, { C, epsilon }) };
}
