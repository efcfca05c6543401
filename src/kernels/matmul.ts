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
  /**
   * Values along K that a tile holds: 512 bytes of workgroup memory each. Default 16. Software adapters
   * compile 8 fastest, because they clear workgroup memory word by word in unrolled code.
   */
  readonly depth?: 8 | 16 | 32;
}

/** x times the transposed weight, for many rows; one call for each part of the weight. */
export function matmul(options: MatmulOptions): KernelCall[] {
  const { label, rows, weight, step, x, y, bias, depth = 16 } = options;
  return weight.parts.map((part) => ({
    label,
    program: {
      shader: 'matmul',
      source,
      preludes: [STEP, weightPrelude(weight.format), bias ? STORE_BIAS : STORE_PLAIN],
      shape: { DEPTH: depth },
      constants: { K: weight.K, N: part.rowCount, Y_STRIDE: weight.N, Y_OFFSET: part.firstRow },
    },
    bindings: { ...weightBindings(part), step, x, y, ...(bias && { bias }) },
    grid: [ceilDivide(part.rowCount, TILE), { rows, per: TILE }, 1],
  }));
}
