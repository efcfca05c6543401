/** CPU twin of `matmul-tile.wgsl`: the same sums as `matmul.wgsl`. */
export { matmulReference as matmulTileReference } from './matmul.reference.ts';
