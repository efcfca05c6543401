import { attentionTileReference, type TileAttention } from './attention-tile.reference.ts';
import { roundToHalves } from './matmul-matrix.reference.ts';

/** CPU twin of `attention-matrix.wgsl`: `attentionTileReference` of what is left of q in f16. */
export function attentionMatrixReference(
  q: Float32Array,
  keys: Float32Array,
  values: Float32Array,
  attention: TileAttention,
): Float32Array {
  return attentionTileReference(roundToHalves(q), keys, values, attention);
}
