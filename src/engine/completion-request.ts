import { MAX_TOP_LOGPROBS } from '../sampling/settings.ts';
import { GENERATION_FIELDS, parseGeneration, type GenerationPlan } from './generation-request.ts';
import type { GrammarSpec } from './grammar/grammar-spec.ts';
import type { CompletionRequest } from './openai.ts';
import {
  optionalBoolean,
  optionalInteger,
  refuseUnknownFields,
  requestFault,
  requireObject,
} from './request-fault.ts';
import { parseResponseFormat } from './response-format.ts';

/** A checked request for text completions. */
export interface CompletionPlan extends GenerationPlan {
  readonly prompts: readonly (string | readonly number[])[];
  readonly echo: boolean;
  readonly logprobs: boolean;
  readonly grammar: GrammarSpec | undefined;
}

const FIELDS: ReadonlySet<string> = new Set<string>([
  ...GENERATION_FIELDS,
  'prompt',
  'echo',
  'logprobs',
  'top_logprobs',
  'response_format',
  'best_of',
  'extra_body',
]);

/** Most prompts of one request. */
const MAX_PROMPTS = 64;

/** OpenAI's default, where a chat's answer may take what the context window leaves. */
const DEFAULT_MAX_TOKENS = 16;

/** Checks a request for text completions. @throws AutoglmError `request-invalid`, `model-unknown` */
export function parseCompletionRequest(
  request: CompletionRequest,
  { model }: { readonly model: string },
): CompletionPlan {
  const fields = requireObject('body', request);
  for (const name of ['suffix', 'best_of']) {
    const value = fields[name];
    if (value === undefined || value === null || (name === 'best_of' && value === (request.n ?? 1))) continue;
    throw requestFault(name, 'unsupported', value, 'nothing: leave it out');
  }
  refuseUnknownFields(fields, new Set([...FIELDS, 'suffix']));
  const { maxTokens = DEFAULT_MAX_TOKENS, ...generation } = parseGeneration(request, { model });
  const logprobs = parseLogprobs(request);
  const grammar = parseResponseFormat(request.response_format);
  if (grammar && request.ignore_eos) {
    throw requestFault('ignore_eos', 'value', true, 'absent where the answer has a form: it ends the answer');
  }
  return {
    ...generation,
    options: {
      ...request,
      max_tokens: maxTokens,
      logprobs: logprobs !== undefined,
      top_logprobs: logprobs ?? 0,
    },
    prompts: parsePrompts(request.prompt),
    echo: optionalBoolean('echo', request.echo) ?? false,
    logprobs: logprobs !== undefined,
    grammar,
  };
}

/** Count of alternatives; undefined without log-probabilities. */
function parseLogprobs({ logprobs, top_logprobs: top }: CompletionRequest): number | undefined {
  if (typeof logprobs !== 'boolean') {
    if (top !== undefined && top !== null) {
      throw requestFault('top_logprobs', 'value', top, 'absent unless "logprobs" is true');
    }
    return optionalInteger('logprobs', logprobs, 0, MAX_TOP_LOGPROBS);
  }
  const count = optionalInteger('top_logprobs', top, 0, MAX_TOP_LOGPROBS);
  if (logprobs) return count ?? 0;
  if (count) throw requestFault('top_logprobs', 'value', top, 'absent unless "logprobs" is true');
  return undefined;
}

function parsePrompts(value: unknown): readonly (string | readonly number[])[] {
  if (typeof value === 'string') return [value];
  const limit = `text, a list of token ids, or a list of up to ${MAX_PROMPTS} of either`;
  if (!Array.isArray(value))
    throw requestFault('prompt', value === undefined ? 'missing' : 'type', value, limit);
  const items = value as unknown[];
  if (items.length > 0 && items.every(isTokenId)) return [items as number[]];
  const prompts = items.map((item) =>
    typeof item === 'string' || (Array.isArray(item) && item.every(isTokenId))
      ? (item as string | number[])
      : undefined,
  );
  if (prompts.length > 0 && prompts.length <= MAX_PROMPTS && prompts.every((one) => one !== undefined)) {
    return prompts as (string | number[])[];
  }
  throw requestFault('prompt', 'value', items.length, limit);
}

function isTokenId(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0;
}
