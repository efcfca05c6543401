import source from '#shaders/swiglu.wgsl?raw';
import { ceilDivide } from '../base/maths.ts';
import type { BufferRef, KernelCall, RowCount } from './kernel.ts';

/** What `swiglu` computes with; shapes in brackets. */
export interface SwigluOptions {
  readonly label: string;
  readonly rows: RowCount;
  readonly F: number;
  /** [rows, 2 F] f32: gate, then up */
  readonly x: BufferRef;
  /** [rows, F] f32 */
  readonly y: BufferRef;
}

/** silu(gate) * up. */
export function swiglu({ label, rows, F, x, y }: SwigluOptions): KernelCall {
  return {
    label,
    program: { shader: 'swiglu', source, constants: { F } },
    bindings: { x, y },
    grid: [ceilDivide(F / 4, 64), { rows, per: 1 }, 1],
  };
}
