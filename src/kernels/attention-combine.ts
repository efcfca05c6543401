import source from '#shaders/attention-combine.wgsl?raw';
import type { BufferRef, KernelCall } from './kernel.ts';
import { SPLIT_RUNS, ROW } from './prelude-sources.ts';

/** What `attentionCombine` computes with; shapes in brackets. */
export interface AttentionCombineOptions {
  readonly label: string;
  /** Sequences of the step. */
  readonly columns: number;
  readonly H: number;
  /** At most 256. */
  readonly D: number;
  readonly splits: number;
  /** [B] `Row`s */
  readonly rows: BufferRef;
  /** [B, H, splits, D] f32 */
  readonly partialOutput: BufferRef;
  /** [B, H, splits, 2] f32: maximum and sum */
  readonly partialStats: BufferRef;
  /** [B, H, D] f32 */
  readonly output: BufferRef;
}

/** Joins the splits that `attentionDecode` leaves. */
export function attentionCombine(options: AttentionCombineOptions): KernelCall {
  const { label, columns, H, D, splits, rows, partialOutput, partialStats, output } = options;
  return {
    label,
    program: {
      shader: 'attention-combine',
      source,
      preludes: [ROW, SPLIT_RUNS],
      shape: { D4: D / 4 },
      constants: { H, SPLITS: splits },
    },
    bindings: { rows, partial_output: partialOutput, partial_stats: partialStats, output },
    grid: [H, columns, 1],
  };
}
