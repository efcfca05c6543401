import source from '#shaders/attention-tile.wgsl?raw';
import type { BufferRef, CacheFormat, KernelCall, RowCount } from './kernel.ts';
import { cachePrelude, STEP } from './prelude-sources.ts';

/** Queries of one workgroup; fixed in the shader. */
const QUERIES = 64;

/** What `attentionTile` computes with; shapes in brackets. */
export interface AttentionTileOptions {
  readonly label: string;
  readonly rows: RowCount;
  readonly H: number;
  readonly KV: number;
  readonly D: number;
  readonly cacheFormat: CacheFormat;
  /** Positions that a slot of the cache holds; 0 for a cache as long as the rows of the step. */
  readonly context: number;
  /** Text: a query sees the cache up to itself. Vision: every query sees every key. */
  readonly isCausal: boolean;
  readonly step: BufferRef;
  /** [rows, H, D] f32 */
  readonly q: BufferRef;
  /** [slots, KV, context, D] each, in the cache's format */
  readonly keys: BufferRef;
  readonly values: BufferRef;
  /** [rows, H, D] f32 */
  readonly output: BufferRef;
}

/** Flash attention of a prefill chunk or an image. */
export function attentionTile(options: AttentionTileOptions): KernelCall {
  const { label, rows, H, KV, D, cacheFormat, context, isCausal, step, q, keys, values, output } = options;
  return {
    label,
    program: {
      shader: 'attention-tile',
      source,
      preludes: [STEP, cachePrelude(cacheFormat)],
      shape: { D4: D / 4 },
      constants: { H, KV, CONTEXT: context, SCALE: D ** -0.5, CAUSAL: isCausal ? 1 : 0 },
    },
    bindings: { step, q, keys, values, output },
    grid: [{ rows, per: QUERIES }, H, 1],
  };
}
