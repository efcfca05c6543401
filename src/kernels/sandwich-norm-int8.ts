import source from '#shaders/sandwich-norm-int8.wgsl?raw';
import { ceilDivide } from '../base/maths.ts';
import {
  ROUND_INT8,
  EMIT_INT8,
  EMIT_INT8_ROWS,
  type Int8Activations,
  type Int8Rows,
} from './int8-activations.ts';
import type { KernelCall } from './kernel.ts';
import { reductionPrelude } from './reduction.ts';
import type { SandwichNormOptions } from './sandwich-norm.ts';

/** As `SandwichNormOptions`, with the next block's input as int8 digits. C is a multiple of 32. */
export interface SandwichNormInt8Options extends Omit<SandwichNormOptions, 'y'> {
  /** [T, C] */
  readonly y: Int8Activations | Int8Rows;
}

/** `sandwichNorm` whose output goes to a product in int8. */
export function sandwichNormInt8(options: SandwichNormInt8Options): KernelCall {
  const { label, rows, C, epsilon, reduction, workgroup, x, postWeight, preWeight, hidden, y } = options;
  const { codes, totals } = y;
  return {
    label,
    program: {
      shader: 'sandwich-norm-int8',
      source,
      preludes: [ROUND_INT8, 'layout' in y ? EMIT_INT8_ROWS : EMIT_INT8, reductionPrelude(reduction)],
      shape: { WORKGROUP: workgroup, ITEMS: ceilDivide(C / 8, workgroup) },
      constants: { C, EPSILON: epsilon },
    },
    bindings: { x, post_weight: postWeight, pre_weight: preWeight, hidden, codes, totals },
    grid: [{ rows, per: 1 }, 1, 1],
  };
}
