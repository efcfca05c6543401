import { describe, expect, it } from 'vitest';
import { isAutoglmError } from '../base/errors.ts';
import { parseModelConfig } from './config.ts';
import { createSyntheticConfig } from './synthetic.ts';

type Json = Record<string, unknown>;

const ROPE_KEYS = ['rope_scaling', 'rope_theta', 'partial_rotary_factor', 'rope_parameters'] as const;

/** GLM-4.1V-9B's config with changed fields; `undefined` takes one away. */
function change({ root = {}, text = {}, vision = {} }: { root?: Json; text?: Json; vision?: Json }): Json {
  const config = createSyntheticConfig();
  const changed = {
    ...config,
    text_config: { ...(config['text_config'] as Json), ...text },
    vision_config: { ...(config['vision_config'] as Json), ...vision },
    ...root,
  };
  // As a file has it: absent fields are absent.
  return JSON.parse(JSON.stringify(changed)) as Json;
}

/** The released `config.json` of GLM-4.1V-9B-Thinking: the text model's fields beside `vision_config`. */
function flatten(config: Json): Json {
  const { text_config: text, vision_config: vision, ...root } = config;
  const visionJson = { ...(vision as Json) };
  delete visionJson['in_channels'];
  return { ...root, ...(text as Json), model_type: 'glm4v', vision_config: visionJson };
}

function faultOf(config: unknown): { code: string; value: unknown; limit: unknown; message: string } {
  try {
    parseModelConfig(config);
  } catch (error) {
    if (isAutoglmError(error)) {
      expect(error.cure).toBeTruthy();
      return error;
    }
    throw error;
  }
  throw new Error('the config was accepted');
}

describe('parseModelConfig', () => {
  it('reads the numbers of GLM-4.1V-9B', () => {
    expect(parseModelConfig(createSyntheticConfig())).toEqual({
      architecture: 'Glm4vForConditionalGeneration',
      text: {
        C: 4096,
        L: 40,
        H: 32,
        KV: 2,
        D: 128,
        F: 13696,
        V: 151552,
        rmsNormEpsilon: 1e-5,
        ropeTheta: 10000,
        rotaryDimensions: 64,
        mropeSections: [8, 12, 12],
        maxPositionEmbeddings: 65536,
      },
      vision: {
        C: 1536,
        L: 24,
        H: 12,
        D: 128,
        F: 4096,
        mergerF: 13696,
        outC: 4096,
        patchSize: 14,
        temporalPatchSize: 2,
        inChannels: 3,
        positionSide: 24,
        spatialMergeSize: 2,
        rmsNormEpsilon: 1e-5,
      },
      imageTokenId: 151343,
      imageStartTokenId: 151339,
      imageEndTokenId: 151340,
      eosTokenIds: [151329, 151336, 151338, 151348],
    });
  });

  it('reads the flat spelling of the first release to the same config', () => {
    const config = createSyntheticConfig();
    expect(parseModelConfig(flatten(config))).toEqual(parseModelConfig(config));
  });

  it('reads both spellings of the rope settings to the same config', () => {
    const parameters = {
      rope_type: 'default',
      rope_theta: 500000,
      partial_rotary_factor: 0.25,
      mrope_section: [4, 6, 6],
    };
    const older = change({
      text: {
        rope_theta: 500000,
        partial_rotary_factor: 0.25,
        rope_scaling: { type: 'mrope', mrope_section: [4, 6, 6] },
      },
    });
    const none = Object.fromEntries(ROPE_KEYS.map((key) => [key, undefined]));
    const newer = change({ text: { ...none, rope_parameters: parameters } });
    expect(parseModelConfig(newer)).toEqual(parseModelConfig(older));
    expect(parseModelConfig(newer).text).toMatchObject({
      ropeTheta: 500000,
      rotaryDimensions: 32,
      mropeSections: [4, 6, 6],
    });
  });

  it.each([
    ['beside rope_scaling', {}],
    [
      'in rope_parameters',
      {
        rope_scaling: undefined,
        rope_parameters: { rope_type: 'default', rope_theta: 1e4, mrope_section: [8, 12, 12] },
      },
    ],
  ])('refuses a missing partial_rotary_factor %s', (_, text) => {
    const fault = faultOf(change({ text: { ...text, partial_rotary_factor: undefined } }));
    expect(fault).toMatchObject({ code: 'config-invalid', value: undefined });
    expect(fault.message).toContain('partial_rotary_factor');
  });

  it('takes head_dim where it is given, and null as absent', () => {
    const given = change({ text: { head_dim: 64, rope_scaling: { mrope_section: [4, 6, 6] } } });
    expect(parseModelConfig(given).text).toMatchObject({ D: 64, rotaryDimensions: 32 });
    expect(parseModelConfig(change({ text: { head_dim: null } })).text.D).toBe(128);
  });

  it('takes one id, the list of text_config, or the list of the root as ends of an answer', () => {
    expect(parseModelConfig(change({ text: { eos_token_id: 7 } })).eosTokenIds).toEqual([7]);
    const root = change({ root: { eos_token_id: [8, 9] }, text: { eos_token_id: undefined } });
    expect(parseModelConfig(root).eosTokenIds).toEqual([8, 9]);
  });

  it.each([
    ['Glm4ForCausalLM', { architectures: ['Glm4ForCausalLM'] }],
    ['LlamaForCausalLM', { architectures: ['LlamaForCausalLM'] }],
    ['glm4v_moe', { architectures: undefined, model_type: 'glm4v_moe' }],
  ])('refuses the architecture %s by name', (name, root) => {
    const fault = faultOf(change({ root }));
    expect(fault.code).toBe('architecture-unsupported');
    expect(fault.message).toContain(name);
  });

  it.each([
    ['a tied head', { root: { tie_word_embeddings: true } }, true],
    ['a vision tower of another width', { vision: { out_hidden_size: 2048 } }, 2048],
    ['heads that do not divide the width', { text: { num_attention_heads: 33 } }, 4096 / 33],
    ['key heads that do not divide the heads', { text: { num_key_value_heads: 3 } }, 3],
    ['no key heads', { text: { num_key_value_heads: 0 } }, 0],
    ['no layers', { text: { num_hidden_layers: 0 } }, 0],
    ['half a layer', { text: { num_hidden_layers: 1.5 } }, 1.5],
    ['a width in words', { text: { hidden_size: '4096' } }, '4096'],
    ['a missing vocabulary', { text: { vocab_size: undefined } }, undefined],
    ['a missing epsilon', { text: { rms_norm_eps: undefined } }, undefined],
    ['another activation', { text: { hidden_act: 'gelu' } }, 'gelu'],
    ['another activation in the tower', { vision: { hidden_act: 'quick_gelu' } }, 'quick_gelu'],
    ['sections of another sum', { text: { rope_scaling: { mrope_section: [8, 12, 13] } } }, [8, 12, 13]],
    ['a negative section', { text: { rope_scaling: { mrope_section: [-4, 12, 24] } } }, [-4, 12, 24]],
    ['two sections', { text: { rope_scaling: { mrope_section: [16, 16] } } }, [16, 16]],
    ['a missing rope base', { text: { rope_theta: undefined } }, undefined],
    ['a scaled rope', { text: { rope_scaling: { rope_type: 'yarn', mrope_section: [8, 12, 12] } } }, 'yarn'],
    ['a position table that is no square of patches', { vision: { image_size: 335 } }, 335],
    ['an image token outside of the vocabulary', { root: { image_token_id: 151552 } }, 151552],
    ['an end that is no id', { text: { eos_token_id: ['</s>'] } }, ['</s>']],
    ['no ends', { text: { eos_token_id: undefined } }, undefined],
    ['no vision tower', { root: { vision_config: undefined } }, undefined],
  ])('refuses %s and names the value', (_, changes, value) => {
    const fault = faultOf(change(changes));
    expect(fault).toMatchObject({ code: 'config-invalid', value });
    expect(fault.limit).toBeTruthy();
  });

  it.each([[null], [[]], ['text'], [{}]])('refuses %j', (json) => {
    expect(['config-invalid', 'architecture-unsupported']).toContain(faultOf(json).code);
  });
});
