import { AutoglmError } from '../base/errors.ts';

/**
 * The alphabet of dimensions, used in `kernels` and `model` alike:
 * T tokens of a step, P image patches, C channels, H query heads, KV key/value heads, D head size,
 * F feed-forward width, V vocabulary, L layers.
 */
export interface TextConfig {
  readonly C: number;
  readonly L: number;
  readonly H: number;
  readonly KV: number;
  readonly D: number;
  readonly F: number;
  readonly V: number;
  readonly rmsNormEpsilon: number;
  readonly ropeTheta: number;
  /** Leading dimensions of a head that rotate: `partial_rotary_factor * D`. */
  readonly rotaryDimensions: number;
  /** Frequency pairs that follow the time, row and column position; they sum to `rotaryDimensions / 2`. */
  readonly mropeSections: readonly [number, number, number];
  readonly maxPositionEmbeddings: number;
}

/** Vision tower of GLM-4.1V. */
export interface VisionConfig {
  readonly C: number;
  /** Blocks. */
  readonly L: number;
  readonly H: number;
  readonly D: number;
  /** Inner width of a block's MLP; it is `out_hidden_size` in this architecture. */
  readonly F: number;
  /** Inner width of the merger's MLP. */
  readonly mergerF: number;
  /** Width of a merged patch: the text model's C. */
  readonly outC: number;
  readonly patchSize: number;
  readonly temporalPatchSize: number;
  readonly inChannels: number;
  /** Side of the square position table, in patches. */
  readonly positionSide: number;
  readonly spatialMergeSize: number;
  readonly rmsNormEpsilon: number;
}

/** A checked `config.json`. */
export interface ModelConfig {
  readonly architecture: 'Glm4vForConditionalGeneration';
  readonly text: TextConfig;
  readonly vision: VisionConfig;
  readonly imageTokenId: number;
  readonly imageStartTokenId: number;
  readonly imageEndTokenId: number;
  /** Ids that end an answer. */
  readonly eosTokenIds: readonly number[];
}

type Json = Record<string, unknown>;

/**
 * Reads a Hugging Face `config.json` of a Glm4v model. The text model's fields may lie in `text_config` or, as in
 * the first releases of GLM-4.1V, beside `vision_config`. Both spellings of the rope settings load:
 * `rope_scaling` + `rope_theta` + `partial_rotary_factor`, and `rope_parameters`.
 *
 * @throws AutoglmError `architecture-unsupported` for another architecture, `config-invalid` for a missing or
 *   contradicting number. A missing `partial_rotary_factor` is an error: transformers would silently take 1.0.
 */
export function parseModelConfig(json: unknown): ModelConfig {
  const root = requireObject(json, 'config.json');
  const architecture = Array.isArray(root['architectures']) ? root['architectures'][0] : undefined;
  if (architecture !== 'Glm4vForConditionalGeneration') {
    throw new AutoglmError(
      'architecture-unsupported',
      `Cannot load a model of architecture "${String(architecture ?? root['model_type'])}".`,
      {
        value: architecture,
        limit: 'Glm4vForConditionalGeneration',
        cure: 'Use a GLM-4.1V checkpoint such as AutoGLM-Phone-9B.',
      },
    );
  }
  if (root['tie_word_embeddings'] === true) throw invalid('tie_word_embeddings', true, 'false');
  const textJson = requireObject(root['text_config'] ?? root, 'text_config');
  const text = parseText(textJson);
  const vision = parseVision(requireObject(root['vision_config'], 'vision_config'));
  if (vision.outC !== text.C) throw invalid('vision_config.out_hidden_size', vision.outC, `${text.C}`);
  return {
    architecture,
    text,
    vision,
    imageTokenId: requireTokenId(root, 'image_token_id', text.V),
    imageStartTokenId: requireTokenId(root, 'image_start_token_id', text.V),
    imageEndTokenId: requireTokenId(root, 'image_end_token_id', text.V),
    eosTokenIds: parseEos(textJson['eos_token_id'] ?? root['eos_token_id']),
  };
}

function parseText(json: Json): TextConfig {
  const C = requireSize(json, 'hidden_size');
  const H = requireSize(json, 'num_attention_heads');
  const KV = requireSize(json, 'num_key_value_heads');
  const D =
    json['head_dim'] === undefined || json['head_dim'] === null ? C / H : requireSize(json, 'head_dim');
  if (!Number.isInteger(D) || D % 4 !== 0) throw invalid('head_dim', D, 'a multiple of 4');
  if (H % KV !== 0) throw invalid('num_key_value_heads', KV, `a divisor of num_attention_heads ${H}`);
  requireEqual(json, 'hidden_act', 'silu');
  const rope = parseRope(json, D);
  return {
    C,
    L: requireSize(json, 'num_hidden_layers'),
    H,
    KV,
    D,
    F: requireSize(json, 'intermediate_size'),
    V: requireSize(json, 'vocab_size'),
    rmsNormEpsilon: requireNumber(json, 'rms_norm_eps'),
    maxPositionEmbeddings: requireSize(json, 'max_position_embeddings'),
    ...rope,
  };
}

function parseRope(
  json: Json,
  D: number,
): Pick<TextConfig, 'ropeTheta' | 'rotaryDimensions' | 'mropeSections'> {
  const parameters = json['rope_parameters'] ?? json['rope_scaling'];
  const rope = requireObject(parameters, 'text_config.rope_parameters (or rope_scaling)');
  const type = rope['rope_type'] ?? rope['type'] ?? 'default';
  if (type !== 'default' && type !== 'mrope') throw invalid('rope_type', type, '"default"');
  const partial = rope['partial_rotary_factor'] ?? json['partial_rotary_factor'];
  if (typeof partial !== 'number') {
    throw invalid('text_config.partial_rotary_factor', partial, 'a number; a default of 1.0 would be wrong');
  }
  const sections = rope['mrope_section'];
  const rotaryDimensions = partial * D;
  if (!Array.isArray(sections) || sections.length !== 3 || !sections.every(isCount))
    throw invalid('mrope_section', sections, 'three counts');
  const [time, row, column] = sections as [number, number, number];
  if ((time + row + column) * 2 !== rotaryDimensions) {
    throw invalid('mrope_section', sections, `a sum of ${rotaryDimensions / 2}`);
  }
  const ropeTheta = rope['rope_theta'] ?? json['rope_theta'];
  if (typeof ropeTheta !== 'number') throw invalid('text_config.rope_theta', ropeTheta, 'a number');
  return { ropeTheta, rotaryDimensions, mropeSections: [time, row, column] };
}

function parseVision(json: Json): VisionConfig {
  const C = requireSize(json, 'hidden_size');
  const H = requireSize(json, 'num_heads');
  const D = C / H;
  if (!Number.isInteger(D) || D % 4 !== 0) throw invalid('vision_config.num_heads', H, 'hidden_size / 4n');
  requireEqual(json, 'hidden_act', 'silu');
  const patchSize = requireSize(json, 'patch_size');
  const outC = requireSize(json, 'out_hidden_size');
  const positionSide = requireSize(json, 'image_size') / patchSize;
  if (!Number.isInteger(positionSide))
    throw invalid('vision_config.image_size', json['image_size'], 'n * patch_size');
  return {
    C,
    L: requireSize(json, 'depth'),
    H,
    D,
    F: outC,
    mergerF: requireSize(json, 'intermediate_size'),
    outC,
    patchSize,
    temporalPatchSize: requireSize(json, 'temporal_patch_size'),
    // The released config leaves it out; 3 is transformers' default, and the patches are RGB.
    inChannels: json['in_channels'] === undefined ? 3 : requireSize(json, 'in_channels'),
    positionSide,
    spatialMergeSize: requireSize(json, 'spatial_merge_size'),
    rmsNormEpsilon: requireNumber(json, 'rms_norm_eps'),
  };
}

function parseEos(value: unknown): readonly number[] {
  const ids = Array.isArray(value) ? value : [value];
  if (!ids.every((id) => Number.isInteger(id)))
    throw invalid('eos_token_id', value, 'an id or a list of ids');
  return ids as number[];
}

function requireObject(value: unknown, path: string): Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw invalid(path, value, 'an object');
  return value as Json;
}

function requireNumber(json: Json, key: string): number {
  const value = json[key];
  if (typeof value !== 'number' || !Number.isFinite(value)) throw invalid(key, value, 'a number');
  return value;
}

function requireSize(json: Json, key: string): number {
  const value = requireNumber(json, key);
  if (!isCount(value) || value === 0) throw invalid(key, value, 'a whole number above 0');
  return value;
}

function requireTokenId(json: Json, key: string, V: number): number {
  const value = requireNumber(json, key);
  if (!isCount(value) || value >= V) throw invalid(key, value, `an id of the vocabulary, 0 to ${V - 1}`);
  return value;
}

function isCount(value: unknown): boolean {
  return Number.isInteger(value) && (value as number) >= 0;
}

function requireEqual(json: Json, key: string, expected: string): void {
  if (json[key] !== expected) throw invalid(key, json[key], `"${expected}"`);
}

function invalid(key: string, value: unknown, expected: string): AutoglmError {
  return new AutoglmError(
    'config-invalid',
    `Cannot use config.json: "${key}" is ${JSON.stringify(value)}, expected ${expected}.`,
    { value, limit: expected, cure: "Check the file against the checkpoint's original." },
  );
}
