import source from '#shaders/swiglu-int8.wgsl?raw';
import { ceilDivide } from '../base/maths.ts';
import {
  ROUND_INT8,
  EMIT_INT8,
  EMIT_INT8_ROWS,
  type Int8Activations,
  type Int8Rows,
} from './int8-activations.ts';
import type { KernelCall } from './kernel.ts';
import type { SwigluOptions } from './swiglu.ts';

const WORKGROUP = 64;

/** As `SwigluOptions`, with the output as int8 digits. F is a multiple of 32. */
export interface SwigluInt8Options extends Omit<SwigluOptions, 'y'> {
  /** [rows, F] */
  readonly y: Int8Activations | Int8Rows;
}

/** `swiglu` whose output goes to a product in int8. */
export function swigluInt8({ label, rows, F, x, y }: SwigluInt8Options): KernelCall {
  const { codes, totals } = y;
  return {
    label,
    program: {
      shader: 'swiglu-int8',
      source,
      preludes: [ROUND_INT8, 'layout' in y ? EMIT_INT8_ROWS : EMIT_INT8],
      shape: { WORKGROUP },
      constants: { F },
    },
    bindings: { x, codes, totals },
    grid: [ceilDivide(F / 8, WORKGROUP), { rows, per: 1 }, 1],
  };
}
