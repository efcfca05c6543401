import source from '#shaders/quantize-activations.wgsl?raw';
import { ceilDivide } from '../base/maths.ts';
import {
  ROUND_INT8,
  EMIT_INT8,
  EMIT_INT8_ROWS,
  INT8_GROUP,
  type Int8Activations,
  type Int8Rows,
} from './int8-activations.ts';
import type { BufferRef, KernelCall, RowCount } from './kernel.ts';

const WORKGROUP = 64;

/** What `quantizeActivations` reads and writes; shapes in brackets. */
export interface QuantizeActivationsOptions {
  readonly label: string;
  readonly rows: RowCount;
  /** A multiple of 32. */
  readonly K: number;
  /** [rows, K] f32 */
  readonly x: BufferRef;
  /** [rows, K] */
  readonly y: Int8Activations | Int8Rows;
}

/** Rounds rows of f32 to int8 digits. */
export function quantizeActivations({ label, rows, K, x, y }: QuantizeActivationsOptions): KernelCall {
  const groups = K / INT8_GROUP;
  const { codes, totals } = y;
  return {
    label,
    program: {
      shader: 'quantize-activations',
      source,
      preludes: [ROUND_INT8, 'layout' in y ? EMIT_INT8_ROWS : EMIT_INT8],
      shape: { WORKGROUP },
      constants: { GROUPS: groups },
    },
    bindings: { x, codes, totals },
    grid: [ceilDivide(groups * 4, WORKGROUP), { rows, per: 1 }, 1],
  };
}
