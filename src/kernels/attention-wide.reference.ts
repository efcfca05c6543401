/** CPU twin of `attention-wide.wgsl`, which computes what `attention-tile.wgsl` does. */
export { attentionTileReference as attentionWideReference } from './attention-tile.reference.ts';
