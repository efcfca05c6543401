import source from '#shaders/matmul.wgsl?raw';
import { ceilDivide } from '../base/maths.ts';
import type { BufferRef, KernelCall, RowCount, WeightMatrix } from './kernel.ts';
import { STEP, STORE_BIAS, STORE_PLAIN, weightPrelude } from './prelude-sources.ts';
import { weightBindings } from './weight-bindings.ts';

/** Rows and outputs of one tile; fixed in the shader. */
const TILE = 64;

/** What `matmul` computes with; shapes in brackets. */
export interface MatmulOptions {
  readonly label: string;
  readonly rows: RowCount;
  /** [N, K] */
  readonly weight: WeightMatrix;
  readonly step: BufferRef;
  /** [rows, K] f32 */
  readonly x: BufferRef;
  /** [rows, N] f32 */
  readonly y: BufferRef;
  /** [N] f32 */
  readonly bias?: BufferRef;
}

/** x times the transposed weight, for many rows; one call for each part of the weight. */
export function matmul({ label, rows, weight, step, x, y, bias }: MatmulOptions): KernelCall[] {
  return weight.parts.map((part) => ({
    label,
    program: {
      shader: 'matmul',
      source,
      preludes: [STEP, weightPrelude(weight.format), bias ? STORE_BIAS : STORE_PLAIN],
      constants: { K: weight.K, N: part.rowCount, Y_STRIDE: weight.N, Y_OFFSET: part.firstRow },
    },
    bindings: { ...weightBindings(part), step, x, y, ...(bias && { bias }) },
    grid: [ceilDivide(part.rowCount, TILE), { rows, per: TILE }, 1],
  }));
}
