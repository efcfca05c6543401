import { AutoglmError } from '../base/errors.ts';

/** What a checkpoint's `generation_config.json` asks for when a request says nothing. */
export interface GenerationDefaults {
  /** 0 is greedy: `do_sample` is false. */
  readonly temperature: number;
  readonly topP: number;
  /** 0 keeps all. */
  readonly topK: number;
  readonly minP: number;
  readonly repetitionPenalty: number;
  /** Ids that end an answer, besides those of config.json; empty when the file names none. */
  readonly eosTokenIds: readonly number[];
}

/** Defaults of a checkpoint without `generation_config.json`: OpenAI's. */
export const PLAIN_DEFAULTS: GenerationDefaults = {
  temperature: 1,
  topP: 1,
  topK: 0,
  minP: 0,
  repetitionPenalty: 1,
  eosTokenIds: [],
};

/**
 * Reads a Hugging Face `generation_config.json`. `do_sample: false` means greedy; else what the file does not name
 * is OpenAI's default, so top_k is off unless it is named (transformers would take 50).
 *
 * @throws AutoglmError `config-invalid` for a value of the wrong kind or outside its range.
 */
export function parseGenerationConfig(json: unknown): GenerationDefaults {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw new AutoglmError('config-invalid', 'Cannot read generation_config.json: it is no JSON object.', {
      value: json,
      limit: 'an object',
      cure: 'Copy the file from the checkpoint again.',
    });
  }
  const fields = json as Readonly<Record<string, unknown>>;
  const isGreedy = fields['do_sample'] === false;
  return {
    temperature: isGreedy ? 0 : readNumber(fields, 'temperature', PLAIN_DEFAULTS.temperature, 0, 100),
    topP: readNumber(fields, 'top_p', PLAIN_DEFAULTS.topP, 0, 1),
    topK: Math.floor(readNumber(fields, 'top_k', PLAIN_DEFAULTS.topK, 0, 2 ** 31)),
    minP: readNumber(fields, 'min_p', PLAIN_DEFAULTS.minP, 0, 1),
    repetitionPenalty: readNumber(fields, 'repetition_penalty', PLAIN_DEFAULTS.repetitionPenalty, 0.01, 100),
    eosTokenIds: readIds(fields['eos_token_id']),
  };
}

function readNumber(
  fields: Readonly<Record<string, unknown>>,
  name: string,
  fallback: number,
  least: number,
  most: number,
): number {
  const value = fields[name] ?? fallback;
  if (typeof value === 'number' && value >= least && value <= most) return value;
  throw invalid(name, value, `a number from ${least} to ${most}`);
}

function readIds(value: unknown): readonly number[] {
  if (value === undefined || value === null) return [];
  const ids: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (ids.every((id): id is number => Number.isInteger(id) && (id as number) >= 0)) return ids;
  throw invalid('eos_token_id', value, 'a token id or a list of token ids');
}

function invalid(name: string, value: unknown, limit: string): AutoglmError {
  return new AutoglmError(
    'config-invalid',
    `Cannot use "${name}" of generation_config.json: it is ${JSON.stringify(value)}, not ${limit}.`,
    { value, limit, cure: 'Correct the file, or remove the field.' },
  );
}
