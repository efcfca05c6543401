/** CPU twin of `matvec.wgsl`, which computes what `matmul.wgsl` does for few rows. */
export { matmulReference as matvecReference } from './matmul.reference.ts';
