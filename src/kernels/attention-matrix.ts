import source from '#shaders/attention-matrix.wgsl?raw';
import type { AttentionTileOptions } from './attention-tile.ts';
import type { KernelCall } from './kernel.ts';
import { STEP } from './prelude-sources.ts';

/** Queries of one workgroup and dimensions of a head; fixed in the shader. */
const QUERIES = 64;
const HEAD = 128;

/** Bytes of workgroup memory that the kernels with subgroup matrices take at most: `matmul-matrix` all of it. */
export const MATRIX_WORKGROUP_BYTES = 20 * 1024;

/** Whether `attentionMatrix` computes attention of such heads over such a cache. */
export function fitsAttentionMatrix({
  D,
  cacheFormat,
}: Pick<AttentionTileOptions, 'D' | 'cacheFormat'>): boolean {
  return D === HEAD && cacheFormat === 'f16';
}

/** What `attentionTile` computes, in subgroup matrices: heads have 128 dimensions and the cache is f16. */
export function attentionMatrix(options: AttentionTileOptions): KernelCall {
  const { label, rows, H, KV, D, context, isCausal, step, q, keys, values, output } = options;
  return {
    label,
    program: {
      shader: 'attention-matrix',
      source,
      preludes: [STEP],
      constants: { H, KV, CONTEXT: context, SCALE: D ** -0.5 * Math.LOG2E, CAUSAL: isCausal ? 1 : 0 },
    },
    bindings: { step, q, keys, values, output },
    grid: [{ rows, per: QUERIES }, H, 1],
  };
}
