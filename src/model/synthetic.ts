import { toFloat16Bits } from '../base/float16.ts';
import type { StoredArray, WeightFormat } from './quantization.ts';
import type { ExpectedTensor } from './tensor-names.ts';

/**
 * The `config.json` of GLM-4.1V-9B, which AutoGLM-Phone-9B shares, for weights that are made up.
 *
 * @param layers decoder layers; the real model has 40
 * @param blocks vision blocks; the real model has 24
 */
export function createSyntheticConfig(layers = 40, blocks = 24): Record<string, unknown> {
  return {
    architectures: ['Glm4vForConditionalGeneration'],
    model_type: 'glm4v',
    image_start_token_id: 151339,
    image_end_token_id: 151340,
    video_start_token_id: 151341,
    video_end_token_id: 151342,
    image_token_id: 151343,
    video_token_id: 151344,
    tie_word_embeddings: false,
    torch_dtype: 'bfloat16',
    text_config: {
      model_type: 'glm4v_text',
      attention_bias: true,
      attention_dropout: 0,
      pad_token_id: 151329,
      eos_token_id: [151329, 151336, 151338, 151348],
      hidden_act: 'silu',
      hidden_size: 4096,
      intermediate_size: 13696,
      max_position_embeddings: 65536,
      num_attention_heads: 32,
      num_hidden_layers: layers,
      num_key_value_heads: 2,
      rms_norm_eps: 1e-5,
      vocab_size: 151552,
      rope_theta: 10000,
      partial_rotary_factor: 0.5,
      rope_scaling: { rope_type: 'default', mrope_section: [8, 12, 12] },
    },
    vision_config: {
      model_type: 'glm4v',
      hidden_size: 1536,
      depth: blocks,
      num_heads: 12,
      attention_bias: false,
      attention_dropout: 0,
      intermediate_size: 13696,
      hidden_act: 'silu',
      image_size: 336,
      patch_size: 14,
      in_channels: 3,
      out_hidden_size: 4096,
      rms_norm_eps: 1e-5,
      spatial_merge_size: 2,
      temporal_patch_size: 2,
    },
  };
}

/** Root mean square of (q - 7) when the nibbles of a word are random and 15 has become 7. */
const NIBBLE_RMS = Math.sqrt(280 / 16);

/** Values of a normal distribution at equal steps of probability; a random index draws one. */
const NORMAL_LEVELS = 4096;

/**
 * Seeded random contents of a stored array. A value depends on the seed, the array's name and the value's
 * index alone, so that arrays and pieces of them can be made in any order, on any device.
 */
export interface SyntheticArray {
  readonly array: StoredArray;
  /** Fills 32-bit words `first...` of the array's little-endian bytes. */
  readonly fill: (words: Uint32Array, first: number) => void;
}

/**
 * Makes up a tensor of a model: weights normally distributed with the deviation of a fresh network
 * (1 / sqrt(inputs)), norms 1, biases small, so that activations stay of ordinary size through all layers.
 *
 * @param arrays what `storedArrays` gives for the tensor and its format
 */
export function synthesize(
  tensor: ExpectedTensor,
  format: WeightFormat,
  arrays: readonly StoredArray[],
  seed: number,
): readonly SyntheticArray[] {
  const deviation = getDeviation(tensor);
  if (format === 'q4' || format === 'q8') {
    const [words, scales] = arrays as [StoredArray, StoredArray];
    const unit = format === 'q4' ? NIBBLE_RMS : 74;
    const key = hashName(words.name, seed);
    const fill = format === 'q4' ? fillNibbles : fillBytes;
    return [
      { array: words, fill: (out, first) => fill(out, first, key) },
      { array: scales, fill: halfFiller(scales, deviation / unit, 0, seed, 0.25) },
    ];
  }
  const [array] = arrays as [StoredArray];
  const mean = tensor.role === 'norm' ? 1 : 0;
  if (format === 'f16') return [{ array, fill: halfFiller(array, mean, deviation, seed, 0) }];
  return [{ array, fill: floatFiller(array, mean, deviation, seed) }];
}

/** bfloat16 values of the same distribution, for a synthetic checkpoint. */
export function synthesizeBfloat16(
  tensor: ExpectedTensor,
  seed: number,
): (words: Uint32Array, first: number) => void {
  const mean = tensor.role === 'norm' ? 1 : 0;
  const bits = new Uint32Array(Float32Array.from(normalLevels(mean, getDeviation(tensor))).buffer);
  const table = Uint16Array.from(bits, (one) => (one + 0x8000) >>> 16);
  return pairFiller(table, hashName(tensor.name, seed));
}

function getDeviation({ role, shape }: ExpectedTensor): number {
  switch (role) {
    case 'norm':
      return 0.05;
    case 'bias':
    case 'position-table':
      return 0.1;
    case 'embedding':
      return 0.6;
    default:
      return 1 / Math.sqrt(shape.slice(1).reduce((total, size) => total * size, 1));
  }
}

function fillNibbles(out: Uint32Array, first: number, key: number): void {
  for (let i = 0; i < out.length; i++) {
    const word = hashIndex(first + i, key);
    // Nibbles of 15 become 7, so that the mean of q - 7 is 0.
    const full = word & (word >>> 1) & (word >>> 2) & (word >>> 3) & 0x11111111;
    out[i] = word ^ (full << 3);
  }
}

function fillBytes(out: Uint32Array, first: number, key: number): void {
  for (let i = 0; i < out.length; i++) {
    const word = hashIndex(first + i, key);
    // A byte of 255 becomes 127 by the same step.
    const half = word & (word >>> 4) & 0x0f0f0f0f;
    const full = half & (half >>> 1) & (half >>> 2) & (half >>> 3) & 0x01010101;
    out[i] = word ^ (full << 7);
  }
}

function halfFiller(
  { name }: StoredArray,
  mean: number,
  deviation: number,
  seed: number,
  relativeSpread: number,
): SyntheticArray['fill'] {
  const table = Uint16Array.from(normalLevels(mean, deviation + mean * relativeSpread), toFloat16Bits);
  // A scale around its mean stays positive: the levels reach 3.9 deviations.
  return pairFiller(table, hashName(name, seed));
}

function floatFiller(
  { name }: StoredArray,
  mean: number,
  deviation: number,
  seed: number,
): SyntheticArray['fill'] {
  const table = new Uint32Array(Float32Array.from(normalLevels(mean, deviation)).buffer);
  const key = hashName(name, seed);
  return (out, first) => {
    for (let i = 0; i < out.length; i++) out[i] = table[hashIndex(first + i, key) >>> 20]!;
  };
}

/** Two 16-bit values a word, each by 12 bits of the word's hash. */
function pairFiller(table: Uint16Array, key: number): SyntheticArray['fill'] {
  return (out, first) => {
    for (let i = 0; i < out.length; i++) {
      const word = hashIndex(first + i, key);
      out[i] = table[word >>> 20]! | (table[(word >>> 8) & 0xfff]! << 16);
    }
  };
}

let standardLevels: readonly number[] | undefined;

function normalLevels(mean: number, deviation: number): readonly number[] {
  standardLevels ??= Array.from({ length: NORMAL_LEVELS }, (_, i) =>
    normalQuantile((i + 0.5) / NORMAL_LEVELS),
  );
  return standardLevels.map((level) => mean + deviation * level);
}

/** The standard normal quantile, by bisection of the error function's series: a table is made of it once. */
function normalQuantile(probability: number): number {
  let low = -6;
  let high = 6;
  for (let step = 0; step < 50; step++) {
    const middle = (low + high) / 2;
    if (normalCumulative(middle) < probability) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

function normalCumulative(x: number): number {
  let term = x;
  let sum = x;
  for (let k = 1; k < 150; k++) {
    term *= (x * x) / (2 * k + 1);
    sum += term;
  }
  return 0.5 + (sum * Math.exp((-x * x) / 2)) / Math.sqrt(2 * Math.PI);
}

/** PCG's output hash of an index (Jarzynski and Olano, 2020); the same in WGSL's u32 arithmetic. */
function hashIndex(index: number, key: number): number {
  const state = (Math.imul(index ^ key, 747796405) + 2891336453) >>> 0;
  const word = Math.imul((state >>> ((state >>> 28) + 4)) ^ state, 277803737) >>> 0;
  return ((word >>> 22) ^ word) >>> 0;
}

/** FNV-1a of a name, mixed with the seed. */
function hashName(name: string, seed: number): number {
  let hash = 0x811c9dc5 ^ seed;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}
