import halvesF16Source from '#shaders/preludes/halves-f16.wgsl?raw';
import halvesQ4Source from '#shaders/preludes/halves-q4.wgsl?raw';
import halvesQ8Source from '#shaders/preludes/halves-q8.wgsl?raw';
import source from '#shaders/matmul-matrix.wgsl?raw';
import { ceilDivide } from '../base/maths.ts';
import type { Prelude } from '../gpu/device.ts';
import { prelude, type BufferRef, type KernelCall, type RowCount, type WeightMatrix } from './kernel.ts';
import { STEP } from './prelude-sources.ts';
import { storesBy } from './store-quad.ts';
import { weightBindings } from './weight-bindings.ts';

/** Rows and outputs of one tile; fixed in the shader. */
const TILE = 128;

/** Values along K of one step: a group of 4-bit weights. */
const DEPTH = 32;

/** Rows and columns of a subgroup matrix: what the rows of `y` and the outputs of a weight are multiples of. */
export const MATRIX_SIDE = 16;

const HALVES: Readonly<Partial<Record<WeightMatrix['format'], Prelude>>> = {
  f16: prelude('halves-f16', halvesF16Source),
  q4: prelude('halves-q4', halvesQ4Source),
  q8: prelude('halves-q8', halvesQ8Source),
};

/** What `matmulMatrix` computes with; shapes in brackets. */
export interface MatmulMatrixOptions {
  readonly label: string;
  readonly rows: RowCount;
  /** [N, K] */
  readonly weight: WeightMatrix;
  readonly step: BufferRef;
  /** [rows, K] f16 */
  readonly codes: BufferRef;
  /** [rows rounded up to `MATRIX_SIDE`, N] f32 */
  readonly y: BufferRef;
}

/** Whether `matmulMatrix` computes a product with this weight. */
export function fitsMatmulMatrix(weight: WeightMatrix): boolean {
  return weight.format in HALVES && weight.K % DEPTH === 0 && storesBy(MATRIX_SIDE, weight);
}

/** x times the transposed weight in subgroup matrices, for many rows; one call for each part of the weight. */
export function matmulMatrix({ label, rows, weight, step, codes, y }: MatmulMatrixOptions): KernelCall[] {
  return weight.parts.map((part) => ({
    label,
    program: {
      shader: 'matmul-matrix',
      source,
      preludes: [STEP, HALVES[weight.format] as Prelude],
      constants: { K: weight.K, N: part.rowCount, Y_STRIDE: weight.N, Y_OFFSET: part.firstRow },
    },
    bindings: { ...weightBindings(part), step, codes, y },
    grid: [{ rows, per: TILE }, ceilDivide(part.rowCount, TILE), 1],
  }));
}
