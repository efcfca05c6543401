import source from '#shaders/matmul-int8.wgsl?raw';
import { ceilDivide } from '../base/maths.ts';
import { INT8_GROUP, type Int8Rows } from './int8-activations.ts';
import type { BufferRef, KernelCall, RowCount, WeightMatrix } from './kernel.ts';
import { STEP } from './prelude-sources.ts';
import { STORE_QUAD_PLAIN, storesBy } from './store-quad.ts';
import { weightBindings } from './weight-bindings.ts';

/** Invocations of a workgroup along rows and along outputs; each computes 8 rows x 8 outputs. */
const LINES = 8;
const COLUMNS = 16;

/** What `matmulInt8` computes with; shapes in brackets. */
export interface MatmulInt8Options {
  readonly label: string;
  readonly rows: RowCount;
  /** [N, K] at `q4` */
  readonly weight: WeightMatrix;
  readonly step: BufferRef;
  /** [rows, K] */
  readonly x: Int8Rows;
  /** [rows, N] f32 */
  readonly y: BufferRef;
}

/** Whether `matmulInt8` computes a product with this weight. */
export function fitsMatmulInt8(weight: WeightMatrix): boolean {
  return weight.format === 'q4' && weight.K % INT8_GROUP === 0 && storesBy(4, weight);
}

/** x times the transposed 4-bit weight, for many rows; one call for each part of the weight. */
export function matmulInt8({ label, rows, weight, step, x, y }: MatmulInt8Options): KernelCall[] {
  return weight.parts.map((part) => ({
    label,
    program: {
      shader: 'matmul-int8',
      source,
      preludes: [STEP, STORE_QUAD_PLAIN],
      shape: { LINES, COLUMNS },
      constants: { K: weight.K, N: part.rowCount, Y_STRIDE: weight.N, Y_OFFSET: part.firstRow },
    },
    bindings: { ...weightBindings(part), codes: x.codes, totals: x.totals, step, y },
    grid: [{ rows, per: 8 * LINES }, ceilDivide(part.rowCount, 8 * COLUMNS), 1],
  }));
}
