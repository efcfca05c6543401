import source from '#shaders/fold-patch-weight.wgsl?raw';
import { ceilDivide } from '../base/maths.ts';
import type { BufferRef, KernelCall, WeightMatrix } from './kernel.ts';
import { weightPrelude } from './prelude-sources.ts';
import { weightBindings } from './weight-bindings.ts';

/** What `foldPatchWeight` computes with; shapes in brackets. */
export interface FoldPatchWeightOptions {
  readonly label: string;
  readonly inChannels: number;
  readonly temporalPatchSize: number;
  readonly patchSize: number;
  /** Row length of the result: `inChannels * patchSize^2` rounded up to a unit of K. */
  readonly paddedK: number;
  /** [C, inChannels * temporalPatchSize * patchSize^2] */
  readonly source: WeightMatrix;
  /** [C, paddedK] f32 */
  readonly folded: BufferRef;
}

/** Adds up the frames of the patch embedding's weight, for still images; run once at load. */
export function foldPatchWeight(options: FoldPatchWeightOptions): KernelCall[] {
  const { label, inChannels, temporalPatchSize, patchSize, paddedK, source: matrix, folded } = options;
  return matrix.parts.map((part) => ({
    label,
    program: {
      shader: 'fold-patch-weight',
      source,
      preludes: [weightPrelude(matrix.format)],
      constants: {
        K: matrix.K,
        IN: inChannels,
        FRAMES: temporalPatchSize,
        AREA: patchSize * patchSize,
        PADDED: paddedK,
        FIRST_ROW: part.firstRow,
      },
    },
    bindings: { ...weightBindings(part), folded },
    grid: [ceilDivide(paddedK, 64), part.rowCount, 1],
  }));
}
