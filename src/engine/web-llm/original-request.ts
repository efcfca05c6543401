import type {
  ChatCompletionRequestStreaming,
  CompletionCreateParamsStreaming,
  ResponseFormat as MlcResponseFormat,
} from '@mlc-ai/web-llm';
import { inlineImages } from '../inline-images.ts';
import type {
  ChatCompletionRequest,
  ChatMessage,
  CompletionRequest,
  ContentPart,
  GenerationRequest,
  ResponseFormat,
} from '../openai.ts';
import { requestFault } from '../request-fault.ts';
import { parseChatRequest, type ChatPlan } from '../chat-request.ts';
import { parseCompletionRequest, type CompletionPlan } from '../completion-request.ts';

/** A checked chat request as web-llm takes it, for one choice. */
export interface OriginalChat {
  readonly plan: ChatPlan;
  readonly request: ChatCompletionRequestStreaming;
}

/** A checked text request as web-llm takes it, for one choice. */
export interface OriginalText {
  readonly plan: CompletionPlan;
  readonly request: CompletionCreateParamsStreaming;
}

/** @throws AutoglmError `request-invalid` for what web-llm has not */
export async function toOriginalChat(
  request: ChatCompletionRequest,
  info: { readonly model: string },
  signal: AbortSignal,
): Promise<OriginalChat> {
  const plan = parseChatRequest(request, info);
  if (plan.continuesLast) throw unsupported('continue_final_message', true);
  const { messages, response_format: format, tools, tool_choice: choice } = request;
  const inlined = await inlineImages(messages, signal);
  const converted = {
    ...toGeneration(request),
    messages: inlined.map(toOriginalMessage),
    max_tokens: plan.options.max_tokens ?? null,
    logprobs: plan.logprobs,
    top_logprobs: request.top_logprobs ?? null,
    ...(format && { response_format: toOriginalFormat(format) }),
    ...(tools && tools.length > 0 && { tools, ...(choice && { tool_choice: choice }) }),
    ...(request.extra_body && { extra_body: request.extra_body }),
  };
  // Web-llm's own checks see the rest, such as models that call no functions.
  return { plan, request: converted as unknown as ChatCompletionRequestStreaming };
}

/** @throws AutoglmError `request-invalid` for what web-llm has not */
export function toOriginalText(request: CompletionRequest, info: { readonly model: string }): OriginalText {
  const plan = parseCompletionRequest(request, info);
  const [prompt] = plan.prompts;
  if (plan.prompts.length > 1 || typeof prompt !== 'string') {
    throw requestFault('prompt', 'unsupported', request.prompt, 'one text');
  }
  if (plan.grammar) throw unsupported('response_format', request.response_format);
  const { max_tokens: most, top_logprobs: top } = plan.options;
  return {
    plan,
    request: {
      ...toGeneration(request),
      prompt,
      echo: plan.echo,
      max_tokens: most ?? null,
      logprobs: plan.logprobs,
      ...(plan.logprobs && { top_logprobs: top ?? 0 }),
    },
  };
}

/** The fields of both kinds of request. */
function toGeneration(request: GenerationRequest) {
  const { top_k: topK, min_p: minP, stop, logit_bias: bias } = request;
  if (topK) throw unsupported('top_k', topK);
  if (minP) throw unsupported('min_p', minP);
  return {
    stream: true as const,
    stream_options: { include_usage: true },
    temperature: request.temperature ?? null,
    top_p: request.top_p ?? null,
    frequency_penalty: request.frequency_penalty ?? null,
    presence_penalty: request.presence_penalty ?? null,
    repetition_penalty: request.repetition_penalty ?? null,
    seed: request.seed ?? null,
    stop: typeof stop === 'string' ? stop : stop ? [...stop] : null,
    logit_bias: bias ? { ...bias } : null,
    ...(request.ignore_eos && { ignore_eos: true }),
  };
}

/** Web-llm knows no developer, texts instead of parts everywhere but for users, and no `detail`. */
function toOriginalMessage(message: ChatMessage): unknown {
  const { role, content } = message;
  if (role === 'user') {
    if (typeof content === 'string') return message;
    const parts = (content as readonly ContentPart[]).map((part) =>
      part.type === 'image_url' ? { type: part.type, image_url: { url: part.image_url.url } } : part,
    );
    const texts = parts.filter((part) => part.type === 'text');
    return { role, content: texts.length === parts.length ? joinTexts(texts) : parts };
  }
  const text = content === null || content === undefined ? content : joinTexts(content);
  if (role === 'assistant') {
    const { tool_calls: calls } = message;
    return { role, content: text ?? null, ...(calls && { tool_calls: calls }) };
  }
  if (role === 'tool') return { role, content: text, tool_call_id: message.tool_call_id };
  return { role: 'system', content: text };
}

function joinTexts(content: string | readonly { readonly text?: string }[]): string {
  return typeof content === 'string' ? content : content.map(({ text = '' }) => text).join('');
}

function toOriginalFormat(format: ResponseFormat): MlcResponseFormat {
  if (format.type !== 'text' && format.prefix) throw unsupported('response_format.prefix', format.prefix);
  if (format.type === 'regex') throw unsupported('response_format.type', format.type);
  if (format.type !== 'json_schema') return format as MlcResponseFormat;
  const { schema } = format.json_schema;
  return { type: 'json_object', ...(schema && { schema: JSON.stringify(schema) }) };
}

function unsupported(param: string, value: unknown): Error {
  return requestFault(param, 'unsupported', value, 'nothing: web-llm has it not');
}
