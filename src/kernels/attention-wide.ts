import source from '#shaders/attention-wide.wgsl?raw';
import type { AttentionTileOptions } from './attention-tile.ts';
import type { KernelCall } from './kernel.ts';
import { cachePrelude, STEP } from './prelude-sources.ts';

/** Dimensions of a head; fixed in the shader. */
const HEAD = 128;

/** Invocations of a workgroup, a sixteenth, and its queries, an eighth. */
export type WideLines = 8 | 16;

/** Bytes of workgroup memory that `attentionWide` takes. */
export const ATTENTION_WIDE_BYTES: Readonly<Record<WideLines, number>> = { 8: 24 * 1024, 16: 40 * 1024 };

/** Whether `attentionWide` computes attention of heads of so many dimensions. */
export function fitsAttentionWide(D: number): boolean {
  return D === HEAD;
}

/** What `attentionTile` computes, in larger tiles for GPUs; heads have 128 dimensions. */
export function attentionWide(options: AttentionTileOptions, lines: WideLines): KernelCall {
  const { label, rows, H, KV, D, cacheFormat, context, isCausal, step, q, keys, values, output } = options;
  return {
    label,
    program: {
      shader: 'attention-wide',
      source,
      preludes: [STEP, cachePrelude(cacheFormat)],
      shape: { LINES: lines },
      constants: { H, KV, CONTEXT: context, SCALE: D ** -0.5 * Math.LOG2E, CAUSAL: isCausal ? 1 : 0 },
    },
    bindings: { step, q, keys, values, output },
    grid: [{ rows, per: 8 * lines }, H, 1],
  };
}
