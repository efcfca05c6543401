import { describe, expect, it } from 'vitest';
import source from '#shaders/preludes/sampler.wgsl?raw';
import { AutoglmError } from '../base/errors.ts';
import {
  encodeLogitBias,
  encodePromptCounts,
  encodeSettings,
  hasPenalties,
  SAMPLER_FLAGS,
  SETTINGS_WORDS,
} from './encode-settings.ts';
import { parseGenerationConfig, PLAIN_DEFAULTS } from './generation-config.ts';
import { parseSampling, type SamplingRequest } from './settings.ts';

const CONTEXT = { defaults: PLAIN_DEFAULTS, vocabularySize: 1000 };
const parse = (request: SamplingRequest) => parseSampling(request, CONTEXT);

describe('parseSampling', () => {
  it('takes every field of a request', () => {
    const settings = parse({
      temperature: 0.5,
      top_p: 0.9,
      top_k: 40,
      min_p: 0.1,
      frequency_penalty: 0.2,
      presence_penalty: -1,
      repetition_penalty: 1.1,
      logit_bias: { '5': -100, '999': 2.5 },
      seed: -3,
      logprobs: true,
      top_logprobs: 20,
    });
    expect(settings).toEqual({
      temperature: 0.5,
      topP: 0.9,
      topK: 40,
      minP: 0.1,
      frequencyPenalty: 0.2,
      presencePenalty: -1,
      repetitionPenalty: 1.1,
      logitBias: new Map([
        [5, -100],
        [999, 2.5],
      ]),
      seed: -3,
      logprobs: true,
      topLogprobs: 20,
    });
  });

  it('falls back to the model, and a null is no value', () => {
    const defaults = parseGenerationConfig({
      temperature: 0.8,
      top_p: 0.6,
      top_k: 2,
      repetition_penalty: 1.05,
    });
    const settings = parseSampling({ temperature: null, top_p: 0.7 }, { ...CONTEXT, defaults });
    expect(settings).toMatchObject({
      temperature: 0.8,
      topP: 0.7,
      topK: 2,
      repetitionPenalty: 1.05,
      minP: 0,
    });
  });

  it('draws another seed each time when there is none', () => {
    const seeds = Array.from({ length: 50 }, () => parse({}).seed);
    expect(new Set(seeds).size).toBe(50);
    expect(seeds.every((seed) => Number.isSafeInteger(seed) && seed >= 0)).toBe(true);
  });

  it.each<[string, unknown]>([
    ['temperature', -0.1],
    ['temperature', 2.1],
    ['temperature', NaN],
    ['temperature', '1'],
    ['top_p', 1.01],
    ['top_k', -1],
    ['top_k', 1.5],
    ['min_p', 2],
    ['frequency_penalty', 2.5],
    ['presence_penalty', -2.5],
    ['repetition_penalty', 0],
    ['repetition_penalty', Infinity],
    ['seed', 1.5],
    ['seed', 2 ** 60],
    ['logprobs', 1],
    ['top_logprobs', 3],
    ['logit_bias', []],
    ['logit_bias', { x: 1 }],
    ['logit_bias', { '1000': 1 }],
    ['logit_bias', { '1': 101 }],
    ['logit_bias', { '1': null }],
  ])('refuses %s = %j and names it', (field, value) => {
    const attempt = () => parse({ [field]: value });
    expect(attempt).toThrow(AutoglmError);
    expect(attempt).toThrow(
      expect.objectContaining({ code: 'request-invalid', message: expect.stringContaining(field) }),
    );
  });

  it('refuses more than 20 alternatives', () => {
    expect(() => parse({ logprobs: true, top_logprobs: 21 })).toThrow('from 0 to 20');
  });
});

describe('parseGenerationConfig', () => {
  it('reads a file that asks for greedy answers and names the ends', () => {
    expect(parseGenerationConfig({ do_sample: false, temperature: 0.7, eos_token_id: [3, 4] })).toEqual({
      ...PLAIN_DEFAULTS,
      temperature: 0,
      eosTokenIds: [3, 4],
    });
    expect(parseGenerationConfig({ eos_token_id: 7 })).toEqual({ ...PLAIN_DEFAULTS, eosTokenIds: [7] });
  });

  it.each([[null], [[]], [{ temperature: -1 }], [{ top_p: 'x' }], [{ eos_token_id: ['</s>'] }]])(
    'refuses %j',
    (json) => {
      expect(() => parseGenerationConfig(json)).toThrow(expect.objectContaining({ code: 'config-invalid' }));
    },
  );
});

/** Word offset of each field of a WGSL struct of scalars and two-vectors. */
function layoutOf(name: string): { offsets: Record<string, number>; words: number } {
  const body = new RegExp(`struct ${name} \\{([^}]*)\\}`).exec(source)![1]!.replaceAll(/\/\/.*/g, '');
  const offsets: Record<string, number> = {};
  let words = 0;
  for (const [, field, type] of body.matchAll(/(\w+): (\w+),/g)) {
    const width = { f32: 1, u32: 1, vec2u: 2 }[type!]!;
    words = Math.ceil(words / width) * width;
    offsets[field!] = words;
    words += width;
  }
  return { offsets, words: Math.ceil(words / 2) * 2 };
}

describe('encodeSettings', () => {
  it('writes what the shader declares', () => {
    const { offsets, words } = layoutOf('SamplerSettings');
    const settings = parse({ temperature: 0.5, top_p: 0.25, min_p: 0.125, top_k: 9, seed: 2 ** 40 + 5 });
    const penalised = { ...settings, frequencyPenalty: 0.75, presencePenalty: -0.5, repetitionPenalty: 1.5 };
    const encoded = encodeSettings(penalised, { vocabularySize: 321 });
    const floats = new Float32Array(encoded.buffer);
    expect(words).toBe(SETTINGS_WORDS);
    expect(encoded.length).toBe(SETTINGS_WORDS);
    const read = (field: string) => floats[offsets[field]!];
    expect(read('temperature')).toBe(0.5);
    expect(read('top_p')).toBe(0.25);
    expect(read('min_p_distance')).toBeCloseTo(Math.log(8), 6);
    expect(read('frequency_penalty')).toBe(0.75);
    expect(read('presence_penalty')).toBe(-0.5);
    expect(read('repetition_penalty')).toBe(1.5);
    expect(encoded[offsets['top_k']!]).toBe(9);
    expect([...encoded.subarray(offsets['seed']!, offsets['seed']! + 2)]).toEqual([5, 256]);
    expect(encoded[offsets['vocabulary']!]).toBe(321);
    expect(encoded[offsets['flags']!]).toBe(SAMPLER_FLAGS.penalties | SAMPLER_FLAGS.truncates);
  });

  it('has the flags of the shader', () => {
    const declared = [...source.matchAll(/const SAMPLER_(\w+) = (\d+)u;/g)];
    expect(
      Object.fromEntries(declared.map(([, name, value]) => [name!.toLowerCase(), Number(value)])),
    ).toEqual(SAMPLER_FLAGS);
  });

  it.each([
    [{}, 0],
    [{ temperature: 0, top_p: 0.5 }, SAMPLER_FLAGS.greedy],
    [{ temperature: 1e-6 }, SAMPLER_FLAGS.greedy],
    [{ top_k: 1 }, SAMPLER_FLAGS.greedy],
    [{ top_p: 0 }, SAMPLER_FLAGS.greedy],
    [{ top_k: 2 }, SAMPLER_FLAGS.truncates],
    [{ top_p: 0.99 }, SAMPLER_FLAGS.truncates],
    [{ min_p: 0.01 }, SAMPLER_FLAGS.truncates],
    [{ presence_penalty: 1 }, SAMPLER_FLAGS.penalties],
    [{ repetition_penalty: 0.5 }, SAMPLER_FLAGS.penalties],
    [{ logit_bias: { '1': 1 } }, SAMPLER_FLAGS.bias],
    [{ logprobs: true }, SAMPLER_FLAGS.logprob],
  ])('flags %j as %i', (request, flags) => {
    expect(encodeSettings(parse(request), { vocabularySize: 1000 })[7]).toBe(flags);
    expect(encodeSettings(parse(request), { vocabularySize: 1000, hasMask: true })[7]).toBe(
      flags | SAMPLER_FLAGS.mask,
    );
  });

  it('lays biases and the prompt out by token', () => {
    expect([...encodeLogitBias(new Map([[2, -1.5]]), 4)]).toEqual([0, 0, -1.5, 0]);
    expect([...encodePromptCounts([3, 1, 3], 4)]).toEqual([0, 0x80000000, 0, 0x80000000]);
    expect(hasPenalties(parse({ frequency_penalty: 0.1 }))).toBe(true);
    expect(hasPenalties(parse({ temperature: 0.1 }))).toBe(false);
  });
});
