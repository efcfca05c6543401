import { AutoglmError } from '../base/errors.ts';
import type { GenerationDefaults } from './generation-config.ts';

/** The fields of a chat request that steer sampling; OpenAI's names. A null counts as absent. */
export interface SamplingRequest {
  readonly temperature?: number | null | undefined;
  readonly top_p?: number | null | undefined;
  readonly top_k?: number | null | undefined;
  readonly min_p?: number | null | undefined;
  readonly frequency_penalty?: number | null | undefined;
  readonly presence_penalty?: number | null | undefined;
  readonly repetition_penalty?: number | null | undefined;
  readonly logit_bias?: Readonly<Record<string, number>> | null | undefined;
  readonly seed?: number | null | undefined;
  readonly logprobs?: boolean | null | undefined;
  readonly top_logprobs?: number | null | undefined;
}

/** How the tokens of one answer are chosen. */
export interface SamplerSettings {
  /** 0 to 2; 0 is greedy. */
  readonly temperature: number;
  /** Share of the probability that is kept after top-k: 0 to 1. */
  readonly topP: number;
  /** Number of tokens that are kept; 0 keeps all. */
  readonly topK: number;
  /** Least probability over the best token's: 0 to 1; 0 keeps all. */
  readonly minP: number;
  /** Subtracted for each time that a token was generated: -2 to 2. */
  readonly frequencyPenalty: number;
  /** Subtracted once from every token that was generated: -2 to 2. */
  readonly presencePenalty: number;
  /** Divides positive logits of tokens of prompt and answer, and multiplies negative ones; 1 is off. */
  readonly repetitionPenalty: number;
  /** An integer; with the same seed and the same logits the text is the same. */
  readonly seed: number;
  /** Added to the logits of these ids: -100 to 100. */
  readonly logitBias: ReadonlyMap<number, number>;
  /** Report the natural log of each chosen token's raw probability. */
  readonly logprobs: boolean;
  /** Alternatives to report with it: 0 to 20. */
  readonly topLogprobs: number;
}

/** Most alternatives a token that a request may ask for. */
export const MAX_TOP_LOGPROBS = 20;

/** A number field of a request: its bounds and whether it is an integer. */
interface NumberRule {
  readonly least: number;
  readonly most: number;
  readonly isInteger?: boolean;
  /** `least` itself is refused. */
  readonly excludesLeast?: boolean;
}

const RULES = {
  temperature: { least: 0, most: 2 },
  top_p: { least: 0, most: 1 },
  top_k: { least: 0, most: 2 ** 31 - 1, isInteger: true },
  min_p: { least: 0, most: 1 },
  frequency_penalty: { least: -2, most: 2 },
  presence_penalty: { least: -2, most: 2 },
  repetition_penalty: { least: 0, most: 100, excludesLeast: true },
  seed: { least: Number.MIN_SAFE_INTEGER, most: Number.MAX_SAFE_INTEGER, isInteger: true },
  top_logprobs: { least: 0, most: MAX_TOP_LOGPROBS, isInteger: true },
} as const satisfies Record<string, NumberRule>;

const BIAS_RULE: NumberRule = { least: -100, most: 100 };

/**
 * Checks the sampling fields of a request and completes them from the model's defaults. Without a seed it draws one.
 *
 * @param vocabularySize ids that the tokenizer knows; `logit_bias` may name no other.
 * @throws AutoglmError `request-invalid` that names the field, its value and its limit.
 */
export function parseSampling(
  request: SamplingRequest,
  { defaults, vocabularySize }: { defaults: GenerationDefaults; vocabularySize: number },
): SamplerSettings {
  const logprobs = readLogprobs(request);
  return {
    temperature: readNumber(request, 'temperature', defaults.temperature),
    topP: readNumber(request, 'top_p', defaults.topP),
    topK: readNumber(request, 'top_k', defaults.topK),
    minP: readNumber(request, 'min_p', defaults.minP),
    frequencyPenalty: readNumber(request, 'frequency_penalty', 0),
    presencePenalty: readNumber(request, 'presence_penalty', 0),
    repetitionPenalty: readNumber(request, 'repetition_penalty', defaults.repetitionPenalty),
    seed: request.seed === undefined || request.seed === null ? drawSeed() : readNumber(request, 'seed', 0),
    logitBias: readLogitBias(request.logit_bias, vocabularySize),
    logprobs,
    topLogprobs: logprobs ? readNumber(request, 'top_logprobs', 0) : 0,
  };
}

function readNumber(request: SamplingRequest, field: keyof typeof RULES, fallback: number): number {
  const value: unknown = request[field] ?? undefined;
  return value === undefined ? fallback : requireNumber(field, value, RULES[field]);
}

function requireNumber(field: string, value: unknown, rule: NumberRule): number {
  const { least, most, isInteger = false, excludesLeast = false } = rule;
  const isInRange =
    typeof value === 'number' && value <= most && (excludesLeast ? value > least : value >= least);
  if (isInRange && (!isInteger || Number.isInteger(value))) return value;
  const kind = isInteger ? 'an integer' : 'a number';
  const from = excludesLeast ? `above ${least} and at most` : `from ${least} to`;
  throw invalid(field, value, `${kind} ${from} ${most}`);
}

function readLogprobs({ logprobs, top_logprobs: topLogprobs }: SamplingRequest): boolean {
  const value: unknown = logprobs ?? false;
  if (typeof value !== 'boolean') throw invalid('logprobs', value, 'true or false');
  if (!value && topLogprobs !== undefined && topLogprobs !== null && topLogprobs !== 0) {
    throw invalid('top_logprobs', topLogprobs, 'absent unless "logprobs" is true');
  }
  return value;
}

function readLogitBias(value: unknown, vocabularySize: number): ReadonlyMap<number, number> {
  if (value === undefined || value === null) return new Map();
  if (typeof value !== 'object' || Array.isArray(value)) {
    throw invalid('logit_bias', value, 'an object from token ids to numbers');
  }
  return new Map(
    Object.entries(value).map(([key, bias]) => {
      const id = /^\d+$/.test(key) ? Number(key) : NaN;
      if (!(id < vocabularySize))
        throw invalid('logit_bias', key, `token ids from 0 to ${vocabularySize - 1}`);
      return [id, requireNumber(`logit_bias["${key}"]`, bias, BIAS_RULE)];
    }),
  );
}

function invalid(field: string, value: unknown, limit: string): AutoglmError {
  return new AutoglmError(
    'request-invalid',
    `Cannot sample with "${field}" = ${JSON.stringify(value) ?? String(value)}: it must be ${limit}.`,
    { value, limit, cure: `Correct "${field}", or leave it out.` },
  );
}

/** 53 random bits: all that a number holds, so that the seed can be reported and used again. */
function drawSeed(): number {
  const words = crypto.getRandomValues(new Uint32Array(2));
  return (words[0]! & 0x1fffff) * 2 ** 32 + words[1]!;
}
