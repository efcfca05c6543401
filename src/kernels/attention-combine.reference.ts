/**
 * CPU twin of `attention-combine.wgsl`: partial outputs [B, H, splits, D] and their maxima and sums
 * [B, H, splits, 2] to [B, H, D]. Sequence b has `usedSplits[b]` splits; the rest hold nothing.
 */
export function attentionCombineReference(
  partialOutput: Float32Array,
  partialStats: Float32Array,
  { H, D, splits, usedSplits }: { H: number; D: number; splits: number; usedSplits: readonly number[] },
): Float32Array {
  const output = new Float32Array(usedSplits.length * H * D);
  for (let head = 0; head < usedSplits.length * H; head++) {
    const used = Array.from(
      { length: usedSplits[Math.floor(head / H)] },
      (_, split) => head * splits + split,
    );
    const best = Math.max(...used.map((split) => partialStats[split * 2]));
    const factors = used.map((split) => Math.exp(partialStats[split * 2] - best));
    const whole = used.reduce((sum, split, i) => sum + partialStats[split * 2 + 1] * factors[i], 0);
    for (let d = 0; d < D; d++) {
      const sum = used.reduce((total, split, i) => total + partialOutput[split * D + d] * factors[i], 0);
      output[head * D + d] = sum / whole;
    }
  }
  return output;
}
