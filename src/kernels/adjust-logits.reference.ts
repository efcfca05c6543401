/** How one sequence is sampled, in words instead of the shader's flags. */
export interface ReferenceSampler {
  readonly temperature: number;
  readonly topP: number;
  readonly topK: number;
  readonly minP: number;
  readonly frequencyPenalty: number;
  readonly presencePenalty: number;
  readonly repetitionPenalty: number;
}

/** What else decides a row's adjusted logits; all [V], but for the mask's words. */
export interface ReferenceRow {
  readonly logits: Float32Array;
  readonly counts: Uint32Array;
  readonly bias?: Float32Array | undefined;
  readonly mask?: Uint32Array | undefined;
  readonly vocabularySize: number;
}

/** CPU twin of `adjust-logits.wgsl` for one row: [V] to [V]; a token that may not be chosen is -Infinity. */
export function adjustLogitsReference(sampler: ReferenceSampler, row: ReferenceRow): Float32Array {
  const { logits, counts, bias, mask, vocabularySize } = row;
  const temperature = sampler.temperature === 0 ? 1 : sampler.temperature;
  return logits.map((raw, id) => {
    const isMasked = mask !== undefined && ((mask[id >>> 5]! >>> (id & 31)) & 1) === 0;
    if (isMasked || id >= vocabularySize) return -Infinity;
    return penalise(raw + (bias?.[id] ?? 0), counts[id]!, sampler) / temperature;
  });
}

function penalise(value: number, count: number, sampler: ReferenceSampler): number {
  if (count === 0) return value;
  const { repetitionPenalty, frequencyPenalty, presencePenalty } = sampler;
  const repeated = value > 0 ? value / repetitionPenalty : value * repetitionPenalty;
  const generated = count & 0xffff;
  return generated === 0 ? repeated : repeated - frequencyPenalty * generated - presencePenalty;
}

/** Largest value and lowest id that has it. */
export function argMax(values: ArrayLike<number>): number {
  let best = 0;
  for (let id = 1; id < values.length; id++) if (values[id]! > values[best]!) best = id;
  return best;
}
