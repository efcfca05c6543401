import source from '#shaders/matvec.wgsl?raw';
import { ceilDivide } from '../base/maths.ts';
import type { BufferRef, KernelCall, Reduction, WeightMatrix } from './kernel.ts';
import { STORE_PLAIN, weightPrelude } from './prelude-sources.ts';
import { reductionPrelude } from './reduction.ts';
import { weightBindings } from './weight-bindings.ts';

/** Outputs of one workgroup; fixed in the shader. */
const OUTPUTS = 4;

/** What `matvec` computes with; shapes in brackets. */
export interface MatvecOptions {
  readonly label: string;
  /** Rows of x: 1 to 8. */
  readonly columns: number;
  /** [N, K] */
  readonly weight: WeightMatrix;
  readonly reduction: Reduction;
  readonly workgroup: number;
  /** [columns, K] f32 */
  readonly x: BufferRef;
  /** [columns, N] f32 */
  readonly y: BufferRef;
}

/** x times the transposed weight, for a decode step; one call for each part of the weight. */
export function matvec({ label, columns, weight, reduction, workgroup, x, y }: MatvecOptions): KernelCall[] {
  return weight.parts.map((part) => ({
    label,
    program: {
      shader: 'matvec',
      source,
      preludes: [weightPrelude(weight.format), STORE_PLAIN, reductionPrelude(reduction)],
      shape: { COLUMNS: columns, WORKGROUP: workgroup },
      constants: { K: weight.K, N: part.rowCount, Y_STRIDE: weight.N, Y_OFFSET: part.firstRow },
    },
    bindings: { ...weightBindings(part), x, y },
    grid: [ceilDivide(part.rowCount, OUTPUTS), 1, 1],
  }));
}
