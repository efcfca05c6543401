import { attentionDecodeReference } from './attention-decode.reference.ts';
import { gateUpInt8Reference } from './gate-up-int8.reference.ts';
import { matvecInt8Reference } from './matvec-int8.reference.ts';
import { sandwichNormReference } from './sandwich-norm.reference.ts';

/** Sizes that `decode-layer.wgsl` computes with. */
export interface DecodeLayerSizes {
  readonly C: number;
  readonly H: number;
  readonly KV: number;
  readonly D: number;
  readonly F: number;
  readonly epsilon: number;
  readonly context: number;
}

/** What `decodeLayerReference` reads: shapes as in `DecodeLayerOptions`. */
export type DecodeLayerInputs = Record<
  | 'q'
  | 'keys'
  | 'values'
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
 * CPU twin of `decode-layer.wgsl`, as the twins of the kernels that it stands for, one after the other: from a layer's
 * attention to the residual stream [C] after the layer and the next product's input [C], not yet rounded.
 */
export function decodeLayerReference(
  inputs: DecodeLayerInputs,
  sizes: DecodeLayerSizes,
  token: { readonly slot: number; readonly cacheIndex: number },
): { hidden: Float32Array; y: Float32Array } {
  const { C, H, D, F, epsilon } = sizes;
  const { q, keys, values, postAttentionNorm, preMlpNorm, postMlpNorm, norm } = inputs;
  const attended = attentionDecodeReference(q, keys, values, sizes, [token]);
  const attention = sandwichNormReference(
    {
      x: matvecInt8Reference(attended, inputs.o, { N: C, K: H * D }),
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
