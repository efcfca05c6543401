import { createSyntheticConfig } from '../model/synthetic.ts';

/** Widths of a made-up model that a test can afford; heads are 128 wide, as in the real one. */
export interface NarrowWidths {
  readonly C: number;
  readonly F: number;
  readonly V: number;
  readonly layers: number;
}

/** A `config.json` of GLM-4.1V's architecture with one vision block of width 128. */
export function createNarrowConfig({ C, F, V, layers }: NarrowWidths): Record<string, unknown> {
  const config = createSyntheticConfig(layers, 1);
  const ids = ['image_start', 'image_end', 'video_start', 'video_end', 'image', 'video'];
  const tokens = Object.fromEntries(ids.map((name, id) => [`${name}_token_id`, id]));
  const text = {
    ...(config['text_config'] as object),
    hidden_size: C,
    num_attention_heads: C / 128,
    intermediate_size: F,
    vocab_size: V,
    pad_token_id: 10,
    eos_token_id: [10, 11],
  };
  const vision = {
    ...(config['vision_config'] as object),
    hidden_size: 128,
    num_heads: 1,
    intermediate_size: F,
    out_hidden_size: C,
  };
  return { ...config, ...tokens, text_config: text, vision_config: vision };
}
