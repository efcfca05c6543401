import source from '#shaders/attention-combine-int8.wgsl?raw';
import type { AttentionCombineOptions } from './attention-combine.ts';
import { ROUND_INT8, EMIT_INT8, INT8_GROUP, type Int8Activations } from './int8-activations.ts';
import type { KernelCall, Reduction } from './kernel.ts';
import { SPLIT_RUNS, ROW } from './prelude-sources.ts';
import { reductionPrelude } from './reduction.ts';

const WORKGROUP = 64;

/** As `AttentionCombineOptions`, with the output as int8 digits. D is a multiple of 32. */
export interface AttentionCombineInt8Options extends Omit<AttentionCombineOptions, 'output'> {
  readonly reduction: Reduction;
  /** [B, H D] */
  readonly output: Int8Activations;
}

/** `attentionCombine` whose output goes to a product in int8. */
export function attentionCombineInt8(options: AttentionCombineInt8Options): KernelCall {
  const { label, columns, H, D, splits, reduction, rows, partialOutput, partialStats, output } = options;
  return {
    label,
    program: {
      shader: 'attention-combine-int8',
      source,
      preludes: [ROW, SPLIT_RUNS, reductionPrelude(reduction), ROUND_INT8, EMIT_INT8],
      shape: { D4: D / 4, WORKGROUP, MAX_SPLITS: splits },
      constants: { H, SPLITS: splits },
    },
    bindings: { rows, partial_output: partialOutput, partial_stats: partialStats, ...output },
    grid: [(H * D) / INT8_GROUP, columns, 1],
  };
}
