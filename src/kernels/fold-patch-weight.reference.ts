/**
 * CPU twin of `fold-patch-weight.wgsl`: source [C, inChannels, frames, area] to [C, paddedK], the frames
 * summed, zero beyond inChannels * area.
 */
export function foldPatchWeightReference(
  source: Float32Array,
  {
    inChannels,
    frames,
    area,
    paddedK,
  }: { inChannels: number; frames: number; area: number; paddedK: number },
): Float32Array {
  const C = source.length / (inChannels * frames * area);
  const folded = new Float32Array(C * paddedK);
  source.forEach((value, i) => {
    const row = Math.floor(i / (inChannels * frames * area));
    const channel = Math.floor(i / (frames * area)) % inChannels;
    folded[row * paddedK + channel * area + (i % area)] += value;
  });
  return folded;
}
