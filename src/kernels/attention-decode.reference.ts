import { attend, firstOfCache, type AttentionSizes } from './attention-tile.reference.ts';

/**
 * CPU twin of `attention-decode.wgsl` followed by `attention-combine.wgsl`: q [B, H, D], keys and values
 * [slots, KV, context, D] to [B, H, D]. Sequence b sees positions 0 to `cacheIndex` of its slot.
 */
export function attentionDecodeReference(
  q: Float32Array,
  keys: Float32Array,
  values: Float32Array,
  sizes: AttentionSizes,
  sequences: readonly { readonly slot: number; readonly cacheIndex: number }[],
): Float32Array {
  const { H, D } = sizes;
  const output = new Float32Array(q.length);
  sequences.forEach(({ slot, cacheIndex }, b) => {
    for (let head = 0; head < H; head++) {
      const first = (b * H + head) * D;
      const query = q.subarray(first, first + D);
      output.set(attend(query, keys, values, firstOfCache(sizes, slot, head), cacheIndex + 1), first);
    }
  });
  return output;
}
