import { attentionCombineReference } from './attention-combine.reference.ts';
import { gateUpInt8Reference } from './gate-up-int8.reference.ts';
import { matvecInt8Reference } from './matvec-int8.reference.ts';
import { sandwichNormReference } from './sandwich-norm.reference.ts';

/** Sizes that `decode-layer.wgsl` computes with. */
export interface DecodeLayerSizes {
  readonly C: number;
  readonly H: number;
  readonly D: number;
  readonly F: number;
  readonly epsilon: number;
  readonly splits: number;
  readonly usedSplits: number;
}

/** What `decodeLayerReference` reads: shapes as in `DecodeLayerOptions`. */
export type DecodeLayerInputs = Record<
  | 'partialOutput'
  | 'partialStats'
  | 'hidden'
  | 'o'
  | 'postAttentionNorm'
  | 'preMlpNorm'
  | 'gateUp'
  | 'down'
  | 'postMlpNorm'
  | 'norm',
  Float32Array
>;

/**
 * CPU twin of `decode-layer.wgsl`, as the twins of the kernels that it stands for, one after the other: from the splits
 * of a layer's attention to the residual stream [C] after the layer and the next product's input [C], not yet rounded.
 */
export function decodeLayerReference(
  inputs: DecodeLayerInputs,
  { C, H, D, F, epsilon, splits, usedSplits }: DecodeLayerSizes,
): { hidden: Float32Array; y: Float32Array } {
  const { partialOutput, partialStats, postAttentionNorm, preMlpNorm, postMlpNorm, norm } = inputs;
  const joined = attentionCombineReference(partialOutput, partialStats, {
    H,
    D,
    splits,
    usedSplits: [usedSplits],
  });
  const attention = sandwichNormReference(
    {
      x: matvecInt8Reference(joined, inputs.o, { N: C, K: H * D }),
      hidden: inputs.hidden,
      postWeight: postAttentionNorm,
      preWeight: preMlpNorm,
    },
    { C, epsilon },
  );
  const activated = gateUpInt8Reference(attention.y, inputs.gateUp, { F, K: C });
  return sandwichNormReference(
    {
      x: matvecInt8Reference(activated, inputs.down, { N: C, K: F }),
      hidden: attention.hidden,
      postWeight: postMlpNorm,
      preWeight: norm,
    },
    { C, epsilon },
  );
}
