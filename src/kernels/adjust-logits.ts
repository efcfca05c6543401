import source from '#shaders/adjust-logits.wgsl?raw';
import type { BufferRef, Extent, KernelCall } from './kernel.ts';
import { ROW } from './prelude-sources.ts';
import { logitChunkCount, SAMPLER, samplerShape } from './sampler-prelude.ts';

/** What `adjustLogits` reads and writes; shapes in brackets. A slot is what `Row.slot` names. */
export interface AdjustLogitsOptions {
  readonly label: string;
  /** Rows that are sampled: a number, or one for each token of a decode step. */
  readonly batch: Extent;
  readonly V: number;
  /** Invocations of a workgroup, at least 16; a token does not depend on it. */
  readonly workgroup: number;
  /** [slots] `SamplerSettings` */
  readonly settings: BufferRef;
  /** [batch, V] f32 */
  readonly logits: BufferRef;
  /** [slots, V] u32: generated so often, and whether the prompt has it; read with penalties only */
  readonly counts: BufferRef;
  /** [slots, V] f32; read where the settings say so */
  readonly bias: BufferRef;
  /** [slots, ceil(V / 32)] u32, a bit for each allowed token; read where the settings say so */
  readonly mask: BufferRef;
  /** [batch] `Row` */
  readonly rows: BufferRef;
  /** [batch, V] f32; written for rows with top_k, top_p or min_p only */
  readonly adjusted: BufferRef;
  /** [batch, chunks] `LogitSummary` */
  readonly chunks: BufferRef;
}

/**
 * Applies mask, bias, penalties and temperature, and sums the chunks of each row up for `sampleToken`: the best
 * token, a draw from the whole softmax, and the chunk's part of the raw softmax.
 */
export function adjustLogits(options: AdjustLogitsOptions): KernelCall {
  const { label, batch, V, workgroup, settings, logits, counts, bias, mask, rows, adjusted, chunks } =
    options;
  return {
    label,
    program: {
      shader: 'adjust-logits',
      source,
      preludes: [ROW, SAMPLER],
      shape: samplerShape(workgroup),
      constants: { V },
    },
    bindings: { settings, logits, counts, bias, mask, rows, adjusted, chunks },
    grid: [logitChunkCount(V), batch, 1],
  };
}
