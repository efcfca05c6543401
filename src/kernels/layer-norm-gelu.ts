import source from '#shaders/layer-norm-gelu.wgsl?raw';
import type { BufferRef, KernelCall, Reduction, RowCount } from './kernel.ts';
import { reductionPrelude } from './reduction.ts';

/** What `layerNormGelu` computes with; shapes in brackets. */
export interface LayerNormGeluOptions {
  readonly label: string;
  readonly rows: RowCount;
  readonly C: number;
  readonly epsilon: number;
  readonly reduction: Reduction;
  readonly workgroup: number;
  /** [rows, C] f32, updated in place */
  readonly x: BufferRef;
  /** [C] f32 each */
  readonly weight: BufferRef;
  readonly bias: BufferRef;
}

/** Layer norm and exact GELU of each row, in place. */
export function layerNormGelu(options: LayerNormGeluOptions): KernelCall {
  const { label, rows, C, epsilon, reduction, workgroup, x, weight, bias } = options;
  return {
    label,
    program: {
      shader: 'layer-norm-gelu',
      source,
      preludes: [reductionPrelude(reduction)],
      shape: { WORKGROUP: workgroup },
      constants: { C, EPSILON: epsilon },
    },
    bindings: { x, weight, bias },
    grid: [{ rows, per: 1 }, 1, 1],
  };
}
