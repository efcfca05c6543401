import source from '#shaders/matmul-tile.wgsl?raw';
import { ceilDivide } from '../base/maths.ts';
import type { KernelCall, WeightMatrix } from './kernel.ts';
import type { MatmulOptions } from './matmul.ts';
import { STEP, weightPrelude } from './prelude-sources.ts';
import { STORE_QUAD_BIAS, STORE_QUAD_PLAIN, storesBy } from './store-quad.ts';
import { weightBindings } from './weight-bindings.ts';

/** Rows and outputs of one tile; fixed in the shader. */
const ROWS = 128;
const OUTPUTS = 64;

/** Values along K of one step; fixed in the shader. */
const DEPTH = 16;

/** Bytes of workgroup memory that `matmulTile` takes. */
export const MATMUL_TILE_BYTES = 24 * 1024;

/** Whether `matmulTile` computes a product with this weight. */
export function fitsMatmulTile(weight: WeightMatrix): boolean {
  return weight.K % DEPTH === 0 && storesBy(4, weight);
}

/** What `matmul` computes, in larger tiles for GPUs. */
export function matmulTile({ label, rows, weight, step, x, y, bias }: MatmulOptions): KernelCall[] {
  return weight.parts.map((part) => ({
    label,
    program: {
      shader: 'matmul-tile',
      source,
      preludes: [STEP, weightPrelude(weight.format), bias ? STORE_QUAD_BIAS : STORE_QUAD_PLAIN],
      constants: { K: weight.K, N: part.rowCount, Y_STRIDE: weight.N, Y_OFFSET: part.firstRow },
    },
    bindings: { ...weightBindings(part), step, x, y, ...(bias && { bias }) },
    // Tiles that share weights run side by side: weights are the larger operand of a prompt's chunk.
    grid: [{ rows, per: ROWS }, ceilDivide(part.rowCount, OUTPUTS), 1],
  }));
}
