/** A token and the natural log of its probability. */
export interface ReferenceLogprob {
  readonly id: number;
  readonly logprob: number;
}

/** CPU twin of `top-logprobs.wgsl` and `merge-logprobs.wgsl` for one row of logits [V]. */
export function topLogprobsReference(
  logits: Float32Array,
  K: number,
  target: number,
): { target: ReferenceLogprob; top: ReferenceLogprob[] } {
  const best = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const logTotal = best + Math.log(logits.reduce((sum, value) => sum + Math.exp(value - best), 0));
  const rank = (id: number): ReferenceLogprob => ({ id, logprob: logits[id]! - logTotal });
  const ids = Array.from(logits.keys()).filter((id) => logits[id]! > -Infinity);
  ids.sort((a, b) => logits[b]! - logits[a]! || a - b);
  return { target: rank(target), top: ids.slice(0, K).map(rank) };
}
