import source from '#shaders/attention-wide.wgsl?raw';
import type { AttentionTileOptions } from './attention-tile.ts';
import type { KernelCall } from './kernel.ts';
import { cachePrelude, STEP } from './prelude-sources.ts';

/** Dimensions of a head; fixed in the shader. */
const HEAD = 128;

/** Queries of one workgroup; fixed in the shader. */
const QUERIES = 64;

/** Bytes of workgroup memory that `attentionWide` takes. */
export const ATTENTION_WIDE_BYTES = 24 * 1024;

/** Whether `attentionWide` computes attention of heads of so many dimensions. */
export function fitsAttentionWide(D: number): boolean {
  return D === HEAD;
}

/** What `attentionTile` computes, in larger tiles for GPUs; heads have 128 dimensions. */
export function attentionWide(options: AttentionTileOptions): KernelCall {
  const { label, rows, H, KV, D, cacheFormat, context, isCausal, step, q, keys, values, output } = options;
  return {
    label,
    program: {
      shader: 'attention-wide',
      source,
      preludes: [STEP, cachePrelude(cacheFormat)],
      constants: { H, KV, CONTEXT: context, SCALE: D ** -0.5 * Math.LOG2E, CAUSAL: isCausal ? 1 : 0 },
    },
    bindings: { step, q, keys, values, output },
    grid: [{ rows, per: QUERIES }, H, 1],
  };
}
