/** CPU twin of `matmul-direct.wgsl`, which computes what `matmul.wgsl` does. */
export { matmulReference as matmulDirectReference } from './matmul.reference.ts';
