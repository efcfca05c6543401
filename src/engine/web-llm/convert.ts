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
import type { LoadPhase, LoadProgress } from '../engine.ts';
import type {
  ChatCompletionChunk,
  ChatCompletionRequest,
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
): ChatCompletionRequest {
  const { extra_body: extra, model: _model, ...rest } = request;
  if (extra?.resumable?.enabled) throw notResumable();
  return {
    ...defaultsOf(options),
    ...(rest as Omit<ChatCompletionRequest, 'stream'>),
    ...(extra?.enable_thinking === false && { reasoning_format: 'hidden' }),
  };
}

/** A web-llm text request as the engine takes it. Without a limit web-llm goes on to the end of the context. */
export function toTextRequest(
  request: CompletionCreateParams,
  options: ChatOptions | undefined,
  contextWindow: number,
): CompletionRequest {
  const { extra_body: _extra, model: _model, max_tokens: most, ...rest } = request;
  return {
    ...defaultsOf(options),
    ...(rest as Omit<CompletionRequest, 'stream'>),
    max_tokens: most ?? contextWindow,
  };
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

/** The usage with web-llm's figures of speed. */
export function toMlcUsage(usage: Usage, startedAt: number): CompletionUsage {
  const { prompt_tokens: prompt, completion_tokens: completion, total_tokens: total, extra } = usage;
  const seconds = (milliseconds: number): number => milliseconds / 1000;
  const prefillSeconds = seconds((extra?.prefillMs ?? 0) + (extra?.visionMs ?? 0));
  const computed = prompt - (usage.prompt_tokens_details?.cached_tokens ?? 0);
  const decodeSpeed = extra?.decodeTokensPerSecond ?? 0;
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: total,
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
