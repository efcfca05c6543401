import type { ModelConfig, TextConfig, VisionConfig } from './config.ts';

/**
 * What a tensor is to the model. `text-linear`, `embedding` and `head` are quantised by every 4- and 8-bit
 * format; `vision-linear` on request; the rest keeps its floating-point values.
 */
export type TensorRole =
  'text-linear' | 'embedding' | 'head' | 'vision-linear' | 'convolution' | 'position-table' | 'norm' | 'bias';

/** A tensor that a checkpoint of the given config holds. */
export interface ExpectedTensor {
  /** Name in the Hugging Face checkpoint. */
  readonly name: string;
  /** Row-major; a linear is [out, in]. */
  readonly shape: readonly number[];
  readonly role: TensorRole;
}

export const EMBEDDING = 'model.language_model.embed_tokens';
export const FINAL_NORM = 'model.language_model.norm';
export const HEAD = 'lm_head';
export const VISION = 'model.visual';

/** `model.language_model.layers.N`. */
export function textLayerName(layer: number): string {
  return `model.language_model.layers.${layer}`;
}

/** `model.visual.blocks.N`. */
export function visionBlockName(block: number): string {
  return `${VISION}.blocks.${block}`;
}

/**
 * Every tensor of a Glm4v checkpoint with its shape, in the order in which the model needs them: vision
 * tower, embedding, decoder layers, last norm, head. Names and shapes are transformers' own.
 */
export function expectedTensors(config: ModelConfig): readonly ExpectedTensor[] {
  const { text, vision } = config;
  return [
    ...visionTensors(vision),
    tensor(`${EMBEDDING}.weight`, [text.V, text.C], 'embedding'),
    ...Array.from({ length: text.L }, (_, layer) => textLayerTensors(textLayerName(layer), text)).flat(),
    tensor(`${FINAL_NORM}.weight`, [text.C], 'norm'),
    tensor(`${HEAD}.weight`, [text.V, text.C], 'head'),
  ];
}

/**
 * The name as transformers writes it today, from any spelling that it has written: checkpoints saved before
 * the text model moved under `language_model` call it `model.layers.*` and the tower `visual.*`.
 */
export function toCurrentName(name: string): string {
  if (name.startsWith('visual.')) return `model.${name}`;
  if (/^model\.(?!language_model\.|visual\.)/.test(name)) {
    return `model.language_model.${name.slice('model.'.length)}`;
  }
  return name;
}

/** True for a stored buffer that follows from the config and is therefore left out. */
export function isDerivedTensor(name: string): boolean {
  return /rotary(_pos)?_emb\.(original_)?inv_freq$/.test(name);
}

function textLayerTensors(name: string, { C, H, KV, D, F }: TextConfig): ExpectedTensor[] {
  const attention = `${name}.self_attn`;
  return [
    tensor(`${name}.input_layernorm.weight`, [C], 'norm'),
    tensor(`${attention}.q_proj.weight`, [H * D, C], 'text-linear'),
    tensor(`${attention}.q_proj.bias`, [H * D], 'bias'),
    tensor(`${attention}.k_proj.weight`, [KV * D, C], 'text-linear'),
    tensor(`${attention}.k_proj.bias`, [KV * D], 'bias'),
    tensor(`${attention}.v_proj.weight`, [KV * D, C], 'text-linear'),
    tensor(`${attention}.v_proj.bias`, [KV * D], 'bias'),
    tensor(`${attention}.o_proj.weight`, [C, H * D], 'text-linear'),
    tensor(`${name}.post_self_attn_layernorm.weight`, [C], 'norm'),
    tensor(`${name}.post_attention_layernorm.weight`, [C], 'norm'),
    tensor(`${name}.mlp.gate_up_proj.weight`, [2 * F, C], 'text-linear'),
    tensor(`${name}.mlp.down_proj.weight`, [C, F], 'text-linear'),
    tensor(`${name}.post_mlp_layernorm.weight`, [C], 'norm'),
  ];
}

function visionTensors(vision: VisionConfig): ExpectedTensor[] {
  const { C, L, outC, mergerF, patchSize, temporalPatchSize, inChannels, positionSide } = vision;
  const { spatialMergeSize: merge } = vision;
  const merger = `${VISION}.merger`;
  const patchShape = [C, inChannels, temporalPatchSize, patchSize, patchSize];
  return [
    tensor(`${VISION}.patch_embed.proj.weight`, patchShape, 'convolution'),
    tensor(`${VISION}.patch_embed.proj.bias`, [C], 'bias'),
    tensor(`${VISION}.post_conv_layernorm.weight`, [C], 'norm'),
    tensor(`${VISION}.embeddings.position_embedding.weight`, [positionSide ** 2, C], 'position-table'),
    ...Array.from({ length: L }, (_, block) => visionBlockTensors(visionBlockName(block), vision)).flat(),
    tensor(`${VISION}.post_layernorm.weight`, [C], 'norm'),
    tensor(`${VISION}.downsample.weight`, [outC, C, merge, merge], 'convolution'),
    tensor(`${VISION}.downsample.bias`, [outC], 'bias'),
    tensor(`${merger}.proj.weight`, [outC, outC], 'vision-linear'),
    tensor(`${merger}.post_projection_norm.weight`, [outC], 'norm'),
    tensor(`${merger}.post_projection_norm.bias`, [outC], 'bias'),
    tensor(`${merger}.gate_proj.weight`, [mergerF, outC], 'vision-linear'),
    tensor(`${merger}.up_proj.weight`, [mergerF, outC], 'vision-linear'),
    tensor(`${merger}.down_proj.weight`, [outC, mergerF], 'vision-linear'),
  ];
}

function visionBlockTensors(name: string, { C, F }: VisionConfig): ExpectedTensor[] {
  return [
    tensor(`${name}.norm1.weight`, [C], 'norm'),
    tensor(`${name}.attn.qkv.weight`, [3 * C, C], 'vision-linear'),
    tensor(`${name}.attn.proj.weight`, [C, C], 'vision-linear'),
    tensor(`${name}.norm2.weight`, [C], 'norm'),
    tensor(`${name}.mlp.gate_proj.weight`, [F, C], 'vision-linear'),
    tensor(`${name}.mlp.up_proj.weight`, [F, C], 'vision-linear'),
    tensor(`${name}.mlp.down_proj.weight`, [C, F], 'vision-linear'),
  ];
}

function tensor(name: string, shape: readonly number[], role: TensorRole): ExpectedTensor {
  return { name, shape, role };
}
