/** CPU twin of `matvec-direct.wgsl`, which computes what `matvec.wgsl` does. */
export { matvecReference as matvecDirectReference } from './matvec.reference.ts';
