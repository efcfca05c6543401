import type { BufferRef, WeightPart } from './kernel.ts';

/** The bindings that a weight prelude declares. */
export function weightBindings(part: WeightPart): Record<string, BufferRef> {
  return part.scale ? { weight: part.weight, weight_scale: part.scale } : { weight: part.weight };
}
