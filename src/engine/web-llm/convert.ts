import type {
  ChatCompletion as MlcChatCompletion,
  ChatCompletionChunk as MlcChunk,
  ChatCompletionRequest as MlcChatRequest,
  ChatOptions,
  Completion as MlcCompletion,
  CompletionCreateParams,
  CompletionUsage,
  InitProgressReport,
} from '@mlc-ai/web-llm';
import { AutoglmError } from '../../base/errors.ts';
import type { EngineInfo, LoadPhase, LoadProgress } from '../engine.ts';
import type {
  ChatCompletionChunk,
  ChatCompletionRequest,
  ChatMessage,
  Completion,
  CompletionLogprobs,
  CompletionRequest,
  GenerationRequest,
  Usage,
} from '../openai.ts';

/** A web-llm request as the engine takes it, with the model's own settings of the chat options as defaults. */
export function toChatRequest(
  request: MlcChatRequest,
  options: ChatOptions | undefined,
  info: EngineInfo,
): ChatCompletionRequest {
  const { extra_body: extra, model: _model, logit_bias: bias, ...rest } = request;
  if (extra?.resumable?.enabled) throw notResumable();
  return {
    ...defaultsOf(options),
    ...(rest as Omit<ChatCompletionRequest, 'stream'>),
    ...toBias(bias, info),
    messages: toKnownCalls(request.messages as readonly ChatMessage[]),
    ...(extra?.enable_thinking === false && { reasoning_format: 'hidden' }),
  };
}

/** Programs that write their calls into texts give results of calls that no message has: these are a user's turn. */
function toKnownCalls(messages: readonly ChatMessage[]): readonly ChatMessage[] {
  const known = new Set<string>();
  return messages.map((message) => {
    if (message.role === 'assistant') for (const { id } of message.tool_calls ?? []) known.add(id);
    if (message.role !== 'tool' || known.has(message.tool_call_id)) return message;
    return { role: 'user', content: message.content };
  });
}

/** A web-llm text request as the engine takes it. Without a limit web-llm goes on to the end of the context. */
export function toTextRequest(
  request: CompletionCreateParams,
  options: ChatOptions | undefined,
  info: EngineInfo,
): CompletionRequest {
  const { extra_body: _extra, model: _model, max_tokens: most, logit_bias: bias, ...rest } = request;
  return {
    ...defaultsOf(options),
    ...(rest as Omit<CompletionRequest, 'stream'>),
    ...toBias(bias, info),
    max_tokens: most ?? info.contextWindow,
  };
}

/** Programs keep the token ids of the model that they were written for: those that this one lacks change nothing. */
function toBias(
  bias: Readonly<Record<string, number>> | null | undefined,
  { vocabularySize = Infinity }: EngineInfo,
): Pick<GenerationRequest, 'logit_bias'> {
  if (!bias) return {};
  const known = Object.entries(bias).filter(([id]) => !(Number(id) >= vocabularySize));
  return { logit_bias: Object.fromEntries(known) };
}

function defaultsOf(options: ChatOptions | undefined): GenerationRequest {
  if (!options) return {};
  const { temperature, top_p, repetition_penalty, frequency_penalty, presence_penalty } = options;
  return { temperature, top_p, repetition_penalty, frequency_penalty, presence_penalty };
}

/** Resumable generation keeps a journal of web-llm's own; the engine has none. */
export function notResumable(): AutoglmError {
  return new AutoglmError('request-invalid', 'This engine has no resumable generations.', {
    value: 'resumable',
    limit: 'a request without "extra_body.resumable"',
    param: 'extra_body.resumable',
    fieldFault: 'unsupported',
    cure: 'Keep the text so far and ask with "continue_final_message".',
  });
}

/** A chunk with web-llm's figures. */
export function toMlcChunk(chunk: ChatCompletionChunk, startedAt: number): MlcChunk {
  const { usage, ...rest } = chunk;
  return { ...rest, ...(usage && { usage: toMlcUsage(usage, startedAt) }) };
}

type CallDelta = NonNullable<MlcChunk.Choice.Delta['tool_calls']>[number];

/** Calls of functions as web-llm streams them: whole, in the last chunk of their choice. */
export class WholeCalls {
  readonly #calls = new Map<number, CallDelta[]>();

  /** Keeps what a chunk has of calls, until the chunk with which their choice ends; undefined when nothing is left. */
  hold(chunk: MlcChunk): MlcChunk | undefined {
    let hasHeld = false;
    const choices = chunk.choices.flatMap((choice): MlcChunk.Choice[] => {
      const { tool_calls: added, ...delta } = choice.delta;
      const calls = this.#calls.get(choice.index) ?? [];
      for (const call of added ?? []) join(calls, call);
      if (added) this.#calls.set(choice.index, calls);
      if (choice.finish_reason) {
        return [calls.length === 0 ? choice : { ...choice, delta: { ...delta, tool_calls: calls } }];
      }
      if (!added) return [choice];
      hasHeld = true;
      return Object.keys(delta).length === 0 ? [] : [{ ...choice, delta }];
    });
    return hasHeld && choices.length === 0 ? undefined : { ...chunk, choices };
  }
}

function join(calls: CallDelta[], { index, id, function: added }: CallDelta): void {
  const { id: callId = id, function: before } = calls[index] ?? {};
  calls[index] = {
    index,
    ...(callId !== undefined && { id: callId }),
    type: 'function',
    function: {
      name: before?.name ?? added?.name ?? '',
      arguments: `${before?.arguments ?? ''}${added?.arguments ?? ''}`,
    },
  };
}

/** A text completion, or a chunk of one, in web-llm's form. */
export function toMlcCompletion(completion: Completion, startedAt: number): MlcCompletion {
  const { usage, choices, ...rest } = completion;
  return {
    ...rest,
    choices: choices.map(({ logprobs, ...choice }) => ({ ...choice, logprobs: toMlcLogprobs(logprobs) })),
    ...(usage && { usage: toMlcUsage(usage, startedAt) }),
  };
}

/** OpenAI's older form of log-probabilities as that of chats, which web-llm uses for both. */
function toMlcLogprobs(logprobs: CompletionLogprobs | null): MlcChatCompletion.Choice.Logprobs | null {
  if (!logprobs) return null;
  const encoder = new TextEncoder();
  const toEntry = (token: string, logprob: number) => ({ token, logprob, bytes: [...encoder.encode(token)] });
  return {
    content: logprobs.tokens.map((token, index) => ({
      ...toEntry(token, logprobs.token_logprobs[index] ?? 0),
      top_logprobs: Object.entries(logprobs.top_logprobs[index] ?? {}).map(([one, value]) =>
        toEntry(one, value),
      ),
    })),
  };
}

/** The usage as web-llm counts it: a prompt's tokens are those that were computed, without what the cache held. */
export function toMlcUsage(usage: Usage, startedAt: number): CompletionUsage {
  const { prompt_tokens: prompt, completion_tokens: completion, extra } = usage;
  const seconds = (milliseconds: number): number => milliseconds / 1000;
  const prefillSeconds = seconds((extra?.prefillMs ?? 0) + (extra?.visionMs ?? 0));
  const computed = prompt - (usage.prompt_tokens_details?.cached_tokens ?? 0);
  const decodeSpeed = extra?.decodeTokensPerSecond ?? 0;
  return {
    prompt_tokens: computed,
    completion_tokens: completion,
    total_tokens: computed + completion,
    extra: {
      e2e_latency_s: seconds(performance.now() - startedAt),
      prefill_tokens_per_s: prefillSeconds > 0 ? computed / prefillSeconds : 0,
      decode_tokens_per_s: decodeSpeed,
      time_to_first_token_s: seconds(extra?.timeToFirstTokenMs ?? 0),
      time_per_output_token_s: decodeSpeed > 0 ? 1 / decodeSpeed : 0,
    },
  };
}

/** What a stream came to, as a whole answer; the parts of each choice are put together. */
export async function assembleChat(chunks: AsyncIterable<MlcChunk>): Promise<MlcChatCompletion> {
  const choices: MlcChatCompletion['choices'] = [];
  let last: MlcChunk | undefined;
  let usage: CompletionUsage | undefined;
  for await (const chunk of chunks) {
    last = chunk;
    usage = chunk.usage ?? usage;
    for (const { index, delta, finish_reason: finish, logprobs } of chunk.choices) {
      const choice = (choices[index] ??= {
        index,
        finish_reason: 'stop',
        logprobs: null,
        message: { role: 'assistant', content: '' },
      });
      choice.message.content += delta.content ?? '';
      if (finish) choice.finish_reason = finish;
      if (logprobs?.content) (choice.logprobs ??= { content: [] }).content?.push(...logprobs.content);
      for (const { index: at, id, function: called } of delta.tool_calls ?? []) {
        const calls = (choice.message.tool_calls ??= []);
        const call = (calls[at] ??= {
          id: id ?? '',
          type: 'function',
          function: { name: called?.name ?? '', arguments: '' },
        });
        call.function.arguments += called?.arguments ?? '';
      }
    }
  }
  const { id = '', model = '', created = 0 } = last ?? {};
  return { id, model, created, object: 'chat.completion', choices, ...(usage && { usage }) };
}

/** What a stream of text came to, as a whole. */
export async function assembleText(chunks: AsyncIterable<MlcCompletion>): Promise<MlcCompletion> {
  const choices: MlcCompletion['choices'] = [];
  let last: MlcCompletion | undefined;
  let usage: CompletionUsage | undefined;
  for await (const chunk of chunks) {
    last = chunk;
    usage = chunk.usage ?? usage;
    for (const { index, text, finish_reason: finish, logprobs } of chunk.choices) {
      const choice = (choices[index] ??= { index, finish_reason: null, text: '', logprobs: null });
      choice.text += text;
      choice.finish_reason = finish ?? choice.finish_reason;
      if (logprobs?.content) (choice.logprobs ??= { content: [] }).content?.push(...logprobs.content);
    }
  }
  const { id = '', model = '', created = 0 } = last ?? {};
  return { id, model, created, object: 'text_completion', choices, ...(usage && { usage }) };
}

const PHASES: Record<LoadPhase, string> = {
  checking: 'Looking at the model',
  downloading: 'Fetching the model',
  verifying: 'Checking the model',
  uploading: 'Loading the model onto the GPU',
  compiling: 'Compiling the shaders',
  ready: 'Finish loading',
};

/** A report in web-llm's form: a share, seconds and a sentence. */
export function toProgressReport(
  { phase, loadedBytes, totalBytes }: LoadProgress,
  startedAt: number,
): InitProgressReport {
  const share = phase === 'ready' ? 1 : totalBytes > 0 ? Math.min(loadedBytes / totalBytes, 1) : 0;
  const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(0);
  const amount = totalBytes > 0 ? `: ${megabytes(loadedBytes)} of ${megabytes(totalBytes)} MB` : '';
  return {
    // 1 means ready, and nothing but ready is that.
    progress: phase === 'ready' ? 1 : Math.min(share, 0.99),
    timeElapsed: (performance.now() - startedAt) / 1000,
    text: `${PHASES[phase] ?? phase}${phase === 'ready' ? '.' : amount}`,
  };
}
