import source from '#shaders/matvec-direct.wgsl?raw';
import { ceilDivide } from '../base/maths.ts';
import type { KernelCall } from './kernel.ts';
import type { MatvecOptions } from './matvec.ts';
import { FOUR_OUTPUTS, STORE_PLAIN, weightPrelude } from './prelude-sources.ts';
import { weightBindings } from './weight-bindings.ts';

/** Outputs of one workgroup; fixed in the shader. */
const OUTPUTS = 64;

/** What `matvec` computes, without workgroup memory: faster on adapters that compute on the CPU. */
export function matvecDirect(options: Omit<MatvecOptions, 'reduction' | 'workgroup'>): KernelCall[] {
  const { label, columns, weight, x, y } = options;
  return weight.parts.map((part) => ({
    label,
    program: {
      shader: 'matvec-direct',
      source,
      preludes: [weightPrelude(weight.format), FOUR_OUTPUTS, STORE_PLAIN],
      shape: { COLUMNS: columns },
      constants: { K: weight.K, N: part.rowCount, Y_STRIDE: weight.N, Y_OFFSET: part.firstRow },
    },
    bindings: { ...weightBindings(part), x, y },
    grid: [ceilDivide(part.rowCount, OUTPUTS), 1, 1],
  }));
}
