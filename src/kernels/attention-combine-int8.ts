import source from '#shaders/attention-combine-int8.wgsl?raw';
import type { AttentionCombineOptions } from './attention-combine.ts';
import { EMIT_INT8_SHARED, type Int8Activations } from './int8-activations.ts';
import type { KernelCall } from './kernel.ts';
import { KEYS_PER_SPLIT, ROW } from './prelude-sources.ts';

/** At least the vectors of the widest head. */
const WORKGROUP = 64;

/** As `AttentionCombineOptions`, with the output as int8 digits. D is a multiple of 32. */
export interface AttentionCombineInt8Options extends Omit<AttentionCombineOptions, 'output'> {
  /** [B, H D] */
  readonly output: Int8Activations;
}

/** `attentionCombine` whose output goes to a product in int8. */
export function attentionCombineInt8(options: AttentionCombineInt8Options): KernelCall {
  const { label, columns, H, D, splits, rows, partialOutput, partialStats, output } = options;
  return {
    label,
    program: {
      shader: 'attention-combine-int8',
      source,
      preludes: [ROW, KEYS_PER_SPLIT, EMIT_INT8_SHARED],
      shape: { D4: D / 4, WORKGROUP, MAX_SPLITS: splits },
      constants: { H, SPLITS: splits },
    },
    bindings: { rows, partial_output: partialOutput, partial_stats: partialStats, ...output },
    grid: [H, columns, 1],
  };
}
