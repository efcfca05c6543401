import source from '#shaders/gate-up-int8.wgsl?raw';
import { assert } from '../base/assert.ts';
import { EMIT_INT8, INT8_GROUP, ROUND_INT8, type Int8Activations } from './int8-activations.ts';
import type { KernelCall, Reduction, WeightMatrix } from './kernel.ts';
import { rowProduct, type RowTiling } from './row-tiling.ts';
import { weightBindings } from './weight-bindings.ts';

/** What `gateUpInt8` reads and writes; shapes in brackets. */
export interface GateUpInt8Options {
  readonly label: string;
  /** Rows of x: 1 to 8. */
  readonly columns: number;
  /** [2 F, K] at `q4` in one part, F a multiple of 32: gate, then up */
  readonly weight: WeightMatrix;
  readonly reduction: Reduction;
  /** As in `RowProductOptions`. */
  readonly leastSubgroup?: number | undefined;
  /** Sets times rows are 64: the 32 outputs of gate and of up that share a scale. Rows are a multiple of 8, in turn 8. */
  readonly tiling: RowTiling;
  /** [columns, K] */
  readonly x: Int8Activations;
  /** [columns, F] */
  readonly y: Int8Activations;
}

/** The gate and up products with SwiGLU in one, for a decode step. */
export function gateUpInt8(options: GateUpInt8Options): KernelCall {
  const { label, weight, tiling, x, y } = options;
  const F = weight.N / 2;
  assert(
    weight.parts.length === 1 && F % INT8_GROUP === 0,
    `"${weight.name}" is in groups of 32, in one part`,
  );
  assert(
    tiling.rows * tiling.sets === 2 * INT8_GROUP && tiling.rows % 8 === 0,
    'a workgroup makes one group',
  );
  const { preludes, shape } = rowProduct(tiling, { ...options, K: weight.K });
  return {
    label,
    program: {
      shader: 'gate-up-int8',
      source,
      preludes: [...preludes, ROUND_INT8, EMIT_INT8],
      shape,
      constants: { F },
    },
    bindings: { ...weightBindings(weight.parts[0]), x_codes: x.codes, x_totals: x.totals, ...y },
    grid: [F / INT8_GROUP, 1, 1],
  };
}
