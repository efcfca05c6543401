import type { AnswerForm } from './answer-parser.ts';
import { GENERATION_FIELDS, parseGeneration, type GenerationPlan } from './generation-request.ts';
import type { GrammarSpec } from './grammar/grammar-spec.ts';
import type { ChatCompletionRequest, ChatMessage } from './openai.ts';
import {
  isObject,
  optionalBoolean,
  optionalChoice,
  optionalInteger,
  refuseUnknownFields,
  requestFault,
  requireArray,
  requireObject,
  requireString,
} from './request-fault.ts';
import { parseResponseFormat } from './response-format.ts';
import { toPlainMessages } from './tool-messages.ts';
import { parseTools, toToolGrammar } from './tool-request.ts';

/** A checked chat request, in the engine's own terms. */
export interface ChatPlan extends GenerationPlan {
  /** What the chat template renders. */
  readonly messages: readonly ChatMessage[];
  /** The answer goes on with the text of the last message. */
  readonly continuesLast: boolean;
  readonly logprobs: boolean;
  /** The form that every choice must have. */
  readonly grammar: GrammarSpec | undefined;
  /** The request's field that the form comes from. */
  readonly grammarParam: string;
  readonly form: AnswerForm;
  /** The thinking is told apart and then dropped. */
  readonly hidesReasoning: boolean;
}

const FIELDS: ReadonlySet<string> = new Set<string>([
  ...GENERATION_FIELDS,
  'messages',
  'max_completion_tokens',
  'logprobs',
  'top_logprobs',
  'response_format',
  'tools',
  'tool_choice',
  'parallel_tool_calls',
  'reasoning_format',
  'continue_final_message',
  'add_generation_prompt',
  // Hints to OpenAI's servers that have no meaning here and change no answer.
  'reasoning_effort',
  'verbosity',
  'metadata',
  'store',
  'service_tier',
  'safety_identifier',
  'prompt_cache_key',
  'prompt_cache_retention',
  'prediction',
  'modalities',
  'extra_body',
]);

/** Fields of OpenAI's that would change the answer and that this engine does not have: silence would mislead. */
const UNSUPPORTED = ['audio', 'web_search_options', 'functions', 'function_call', 'moderation'];

/** web-llm's own extras. */
const EXTRA_FIELDS = new Set(['enable_thinking', 'enable_latency_breakdown', 'resumable']);

/**
 * Checks a chat request. Fields that choose tokens are checked by the sampler's own rules.
 *
 * @param model id of the loaded model.
 * @throws AutoglmError `request-invalid`, `message-invalid`, `model-unknown`
 */
export function parseChatRequest(
  request: ChatCompletionRequest,
  { model }: { readonly model: string },
): ChatPlan {
  const fields = requireObject('body', request);
  refuseUnsupported(fields);
  refuseUnknownFields(fields, FIELDS);
  const { maxTokens, ...generation } = parseGeneration(request, { model });
  const most =
    optionalInteger('max_completion_tokens', request.max_completion_tokens, 1, Infinity) ?? maxTokens;
  const tools = parseTools(request);
  const format = parseResponseFormat(request.response_format);
  if (tools && format?.kind === 'begun') {
    throw requestFault('response_format.prefix', 'value', format.prefix, 'absent where there are tools');
  }
  const grammar = tools ? toToolGrammar(tools, format) : format;
  if (grammar && request.ignore_eos) {
    throw requestFault('ignore_eos', 'value', true, 'absent where the answer has a form: it ends the answer');
  }
  const reasoning = optionalChoice('reasoning_format', request.reasoning_format, ['raw', 'parsed', 'hidden']);
  const messages = requireMessages(request.messages);
  const continuesLast = optionalBoolean('continue_final_message', request.continue_final_message) ?? false;
  if (continuesLast && messages.at(-1)?.role !== 'assistant') {
    throw requestFault(
      'continue_final_message',
      'value',
      true,
      'absent unless the last message is an assistant message',
    );
  }
  // vLLM has both; together they can only say the same.
  const opens = optionalBoolean('add_generation_prompt', request.add_generation_prompt) ?? !continuesLast;
  if (opens === continuesLast) {
    throw requestFault('add_generation_prompt', 'value', opens, 'the opposite of "continue_final_message"');
  }
  return {
    ...generation,
    options: { ...request, max_tokens: most },
    messages: toPlainMessages(messages, tools),
    continuesLast,
    logprobs: optionalBoolean('logprobs', request.logprobs) ?? false,
    grammar,
    grammarParam: tools && tools.mode !== 'none' ? 'tools' : 'response_format',
    form: { hasReasoning: reasoning !== 'raw', hasCalls: tools !== undefined && tools.mode !== 'none' },
    hidesReasoning: reasoning === 'hidden',
  };
}

function refuseUnsupported(fields: Readonly<Record<string, unknown>>): void {
  const name = UNSUPPORTED.find((field) => fields[field] !== undefined && fields[field] !== null);
  if (name !== undefined) throw requestFault(name, 'unsupported', fields[name], 'nothing: leave it out');
  const { modalities } = fields;
  if (Array.isArray(modalities) && modalities.some((one) => one !== 'text')) {
    throw requestFault('modalities', 'unsupported', modalities, '["text"]');
  }
  const extra = fields['extra_body'];
  if (extra === undefined || extra === null) return;
  refuseUnknownFields(requireObject('extra_body', extra), EXTRA_FIELDS, 'extra_body.');
}

/** Checks what the chat template's own checks do not see: calls of functions and their results. */
function requireMessages(value: unknown): readonly ChatMessage[] {
  requireArray('messages', value, { least: 1 }).forEach((message, index) => {
    const path = `messages[${index}]`;
    const fields = requireObject(path, message);
    if (fields['role'] === 'tool') requireString(`${path}.tool_call_id`, fields['tool_call_id']);
    if (fields['role'] !== 'assistant') return;
    const calls = fields['tool_calls'];
    if (calls === undefined || calls === null) {
      if (fields['content'] === undefined || fields['content'] === null) {
        throw requestFault(`${path}.content`, 'missing', undefined, 'text, or "tool_calls"');
      }
      return;
    }
    requireArray(`${path}.tool_calls`, calls).forEach((call, at) =>
      requireCall(call, `${path}.tool_calls[${at}]`),
    );
  });
  return value as readonly ChatMessage[];
}

function requireCall(value: unknown, path: string): void {
  const call = requireObject(path, value);
  requireString(`${path}.id`, call['id']);
  const named = call['function'];
  if (!isObject(named)) throw requestFault(`${path}.function`, 'type', named, 'a name and arguments');
  requireString(`${path}.function.name`, named['name']);
  requireString(`${path}.function.arguments`, named['arguments']);
}
