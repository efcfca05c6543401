import source from '#shaders/matmul-direct.wgsl?raw';
import { ceilDivide } from '../base/maths.ts';
import type { KernelCall } from './kernel.ts';
import type { MatmulOptions } from './matmul.ts';
import { FOUR_OUTPUTS, STEP, STORE_BIAS, STORE_PLAIN, weightPrelude } from './prelude-sources.ts';
import { weightBindings } from './weight-bindings.ts';

/** Rows and outputs of one workgroup; fixed in the shader. */
const ROWS = 16;
const OUTPUTS = 64;

/**
 * What `matmul` computes, without workgroup memory: on adapters that compute on the CPU it runs twice as fast
 * and compiles in a seventh of the time.
 */
export function matmulDirect({ label, rows, weight, step, x, y, bias }: MatmulOptions): KernelCall[] {
  return weight.parts.map((part) => ({
    label,
    program: {
      shader: 'matmul-direct',
      source,
      preludes: [STEP, weightPrelude(weight.format), FOUR_OUTPUTS, bias ? STORE_BIAS : STORE_PLAIN],
      constants: { K: weight.K, N: part.rowCount, Y_STRIDE: weight.N, Y_OFFSET: part.firstRow },
    },
    bindings: { ...weightBindings(part), step, x, y, ...(bias && { bias }) },
    grid: [ceilDivide(part.rowCount, OUTPUTS), { rows, per: ROWS }, 1],
  }));
}
