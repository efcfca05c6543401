import { rmsNormReference } from './rms-norm.reference.ts';

/**
 * CPU twin of `add-norm.wgsl`: block output x [rows, C], residual stream hidden [rows, C] and weight [C] to
 * the new residual stream [rows, C] and its norm [rows / merge, C, merge].
 */
export function addNormReference(
  { x, hidden, weight }: Record<'x' | 'hidden' | 'weight', Float32Array>,
  { C, epsilon, merge = 1 }: { C: number; epsilon: number; merge?: number },
): { hidden: Float32Array; y: Float32Array } {
  const sum = hidden.map((value, i) => value + x[i]);
  return { hidden: sum, y: rmsNormReference(sum, weight, { C, epsilon, merge }) };
}
