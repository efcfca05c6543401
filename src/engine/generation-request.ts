import { AutoglmError } from '../base/errors.ts';
import { parseStop } from '../sampling/parse-stop.ts';
import type { AnswerOptions } from './answer.ts';
import type { GenerationRequest } from './openai.ts';
import {
  optionalBoolean,
  optionalInteger,
  refuseUnknownFields,
  requestFault,
  requireObject,
} from './request-fault.ts';

/** Most answers to one request: OpenAI's limit. */
export const MAX_CHOICES = 128;

/** Fields of every kind of request. */
export const GENERATION_FIELDS = [
  'model',
  'stream',
  'stream_options',
  'max_tokens',
  'temperature',
  'top_p',
  'top_k',
  'min_p',
  'frequency_penalty',
  'presence_penalty',
  'repetition_penalty',
  'logit_bias',
  'seed',
  'stop',
  'n',
  'ignore_eos',
  'user',
] as const satisfies readonly (keyof GenerationRequest)[];

const STREAM_FIELDS = new Set(['include_usage', 'include_obfuscation']);

/** How the choices of a request are generated and delivered. */
export interface GenerationPlan {
  readonly options: AnswerOptions;
  readonly choiceCount: number;
  readonly stream: boolean;
  readonly includeUsage: boolean;
}

/**
 * Checks the fields that requests of every kind share; those that choose tokens are checked where they are used.
 *
 * @throws AutoglmError `request-invalid`, `model-unknown`
 */
export function parseGeneration(
  request: GenerationRequest,
  { model }: { readonly model: string },
): Omit<GenerationPlan, 'options'> & { readonly maxTokens: number | undefined } {
  requireModel(request.model, model);
  parseStop(request.stop);
  optionalBoolean('ignore_eos', request.ignore_eos);
  const stream = optionalBoolean('stream', request.stream) ?? false;
  return {
    choiceCount: optionalInteger('n', request.n, 1, MAX_CHOICES) ?? 1,
    stream,
    includeUsage: parseStreamOptions(request.stream_options, stream),
    maxTokens: optionalInteger('max_tokens', request.max_tokens, 1, Infinity),
  };
}

/** The options of one of several choices: each has a seed of its own, so that they differ and can be repeated. */
export function optionsOfChoice(options: AnswerOptions, index: number): AnswerOptions {
  const { seed } = options;
  return index === 0 || typeof seed !== 'number' ? options : { ...options, seed: seed + index };
}

function parseStreamOptions(value: unknown, stream: boolean): boolean {
  if (value === undefined || value === null) return false;
  const options = requireObject('stream_options', value);
  if (!stream) throw requestFault('stream_options', 'value', value, 'nothing unless "stream" is true');
  refuseUnknownFields(options, STREAM_FIELDS, 'stream_options.');
  optionalBoolean('stream_options.include_obfuscation', options['include_obfuscation']);
  return optionalBoolean('stream_options.include_usage', options['include_usage']) ?? false;
}

function requireModel(asked: unknown, model: string): void {
  if (asked === undefined || asked === null || asked === model) return;
  if (typeof asked !== 'string') throw requestFault('model', 'type', asked, 'a model id');
  throw new AutoglmError('model-unknown', `The model "${asked}" is not loaded.`, {
    value: asked,
    limit: model,
    param: 'model',
    cure: `Ask for "${model}", or leave "model" out.`,
  });
}
