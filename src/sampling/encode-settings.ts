import type { SamplerSettings } from './settings.ts';

/** Words of one `SamplerSettings` of `shaders/preludes/sampler.wgsl`. */
export const SETTINGS_WORDS = 12;

/** `SAMPLER_*` bits of the shader. */
export const SAMPLER_FLAGS = {
  greedy: 1,
  penalties: 2,
  bias: 4,
  mask: 8,
  logprob: 16,
  truncates: 32,
} as const;

/** Below this temperature (vLLM's limit, too) sampling is greedy: the division would leave nothing but rounding. */
const LEAST_TEMPERATURE = 1e-5;

/** What the encoded settings need beside the request's own. */
export interface EncodeOptions {
  /** Ids from here on are never sampled: padding rows of the head. */
  readonly vocabularySize: number;
  /** A grammar's bit mask decides which tokens are allowed. */
  readonly hasMask?: boolean;
}

/** True when the most likely token is always taken; top-k of 1 and top-p of 0 say that as well. */
export function isGreedy({ temperature, topK, topP }: SamplerSettings): boolean {
  return temperature < LEAST_TEMPERATURE || topK === 1 || topP === 0;
}

/** True when token counts change the logits: then the prompt's tokens must be in the counts. */
export function hasPenalties(settings: SamplerSettings): boolean {
  const { frequencyPenalty, presencePenalty, repetitionPenalty } = settings;
  return frequencyPenalty !== 0 || presencePenalty !== 0 || repetitionPenalty !== 1;
}

/** The settings of one sequence as the sampling kernels read them. */
export function encodeSettings(
  settings: SamplerSettings,
  { vocabularySize, hasMask = false }: EncodeOptions,
): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array(SETTINGS_WORDS);
  const floats = new Float32Array(words.buffer);
  const seed = BigInt.asUintN(64, BigInt(settings.seed));
  floats[0] = isGreedy(settings) ? 1 : settings.temperature;
  floats[1] = settings.topP;
  floats[2] = settings.minP === 0 ? 1e9 : -Math.log(settings.minP);
  floats[3] = settings.frequencyPenalty;
  floats[4] = settings.presencePenalty;
  floats[5] = settings.repetitionPenalty;
  words[6] = settings.topK;
  words[7] = encodeFlags(settings, hasMask);
  words[8] = Number(seed & 0xffffffffn);
  words[9] = Number(seed >> 32n);
  words[10] = vocabularySize;
  return words;
}

function encodeFlags(settings: SamplerSettings, hasMask: boolean): number {
  const greedy = isGreedy(settings);
  const truncates = !greedy && (settings.topK > 0 || settings.topP < 1 || settings.minP > 0);
  return (
    (greedy ? SAMPLER_FLAGS.greedy : 0) |
    (hasPenalties(settings) ? SAMPLER_FLAGS.penalties : 0) |
    (settings.logitBias.size > 0 ? SAMPLER_FLAGS.bias : 0) |
    (hasMask ? SAMPLER_FLAGS.mask : 0) |
    (settings.logprobs ? SAMPLER_FLAGS.logprob : 0) |
    (truncates ? SAMPLER_FLAGS.truncates : 0)
  );
}

/** The bias of each token: a row of [V] for the shader. */
export function encodeLogitBias(
  logitBias: ReadonlyMap<number, number>,
  V: number,
): Float32Array<ArrayBuffer> {
  const row = new Float32Array(V);
  for (const [id, bias] of logitBias) row[id] = bias;
  return row;
}

/** The counts with which an answer starts: a row of [V] that marks the tokens of the prompt. */
export function encodePromptCounts(promptIds: Iterable<number>, V: number): Uint32Array<ArrayBuffer> {
  const row = new Uint32Array(V);
  for (const id of promptIds) row[id] = 0x80000000;
  return row;
}
