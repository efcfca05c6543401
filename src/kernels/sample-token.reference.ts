import { argMax, type ReferenceSampler } from './adjust-logits.reference.ts';
import { gumbelNoiseReference } from './gumbel-noise.reference.ts';

/**
 * CPU twin of `sample-token.wgsl`: the token chosen from adjusted logits [V], by sorting and plain sums.
 * `seed` is the two words that the noise starts from, `counter` the number of tokens generated before.
 */
export function sampleTokenReference(
  adjusted: Float32Array,
  sampler: ReferenceSampler,
  seed: readonly [number, number],
  counter: number,
): number {
  const { temperature, topK, topP } = sampler;
  if (temperature === 0 || topK === 1 || topP === 0) return argMax(adjusted);
  const kept = keptTokens(adjusted, sampler);
  const noisy = kept.map((id) => adjusted[id]! + gumbelNoiseReference(seed, counter, id));
  return kept[argMax(noisy)]!;
}

/** The ids that top_k, top_p and min_p keep, in the order of transformers; ties at a cut stay together. */
export function keptTokens(
  adjusted: Float32Array,
  { topK, topP, minP }: Pick<ReferenceSampler, 'topK' | 'topP' | 'minP'>,
): number[] {
  let ids = Array.from(adjusted.keys()).filter((id) => adjusted[id]! > -Infinity);
  ids.sort((a, b) => adjusted[b]! - adjusted[a]!);
  const best = adjusted[ids[0]!]!;
  if (topK > 0 && topK < ids.length) {
    const least = adjusted[ids[topK - 1]!]!;
    ids = ids.filter((id) => adjusted[id]! >= least);
  }
  if (topP < 1) {
    const weights = ids.map((id) => Math.exp(adjusted[id]! - best));
    const wanted = topP * weights.reduce((total, weight) => total + weight, 0);
    let index = 0;
    for (let sum = weights[0]!; sum < wanted && index < ids.length - 1; sum += weights[++index]!);
    const least = adjusted[ids[index]!]!;
    ids = ids.filter((id) => adjusted[id]! >= least);
  }
  return minP > 0 ? ids.filter((id) => adjusted[id]! - best >= Math.log(minP)) : ids;
}
