/**
 * An engine that answers from a script, for looking at the element: the answers are real ones of the small model. Pages
 * of the examples import it alone, so it imports nothing but types.
 */
import type { CallOptions, ChatCompletions, Engine, EngineInfo } from '../engine/engine.ts';
import type { ChatCompletion, ChatCompletionChunk, ChatCompletionRequest, Usage } from '../engine/openai.ts';
import type { PrefillRequest } from '../engine/prefill.ts';

/** What a scripted engine says and how fast. */
export interface Script {
  /** Answers in order; the last one is repeated. */
  readonly answers: readonly string[];
  /** Milliseconds before the first token. Default 150. */
  readonly prefillMs?: number;
  /** Milliseconds between tokens. Default 15. */
  readonly tokenMs?: number;
  /** After so many tokens nothing more comes, until the answer is stopped. */
  readonly stallAfterTokens?: number;
  /** Thrown instead of the end of the answer. */
  readonly fault?: Error;
  readonly info?: Partial<EngineInfo>;
}

const INFO: EngineInfo = {
  model: 'autoglm-tiny-q4f16_1',
  backend: 'webgpu',
  adapter: 'nvidia ampere',
  isSoftware: false,
  contextWindow: 4096,
  gpuBytes: 31_400_000,
  quantization: 'q4f16_1',
};

/** Also keeps the requests that it was sent, and what it was told of coming ones. */
export interface ScriptedEngine extends Engine {
  readonly requests: readonly ChatCompletionRequest[];
  readonly prefills: readonly PrefillRequest[];
}

export function createScriptedEngine(script: Script): ScriptedEngine {
  const requests: ChatCompletionRequest[] = [];
  const prefills: PrefillRequest[] = [];
  const create = async (request: ChatCompletionRequest, options: CallOptions = {}) => {
    requests.push(request);
    const answer = script.answers[Math.min(requests.length, script.answers.length) - 1] ?? '';
    const stream = streamChunks(answer, script, options.signal);
    return request.stream ? stream : collect(stream);
  };
  return {
    info: { ...INFO, ...script.info },
    chat: { completions: { create: create as ChatCompletions['create'] } },
    completions: {
      create: async (): Promise<never> => Promise.reject(new Error('The script has chats only.')),
    },
    countTokens: async () => 0,
    prefill: async (request) => {
      prefills.push(request);
      return { promptTokens: 0, cachedTokens: 0, computedTokens: 0 };
    },
    requests,
    prefills,
    unload: async () => {},
  };
}

async function* streamChunks(
  answer: string,
  { prefillMs = 150, tokenMs = 15, fault, stallAfterTokens = Infinity }: Script,
  signal: AbortSignal | undefined,
): AsyncGenerator<ChatCompletionChunk> {
  const start = performance.now();
  await pause(prefillMs, signal);
  const timeToFirstTokenMs = performance.now() - start;
  const tokens = answer.match(/<\/?\w+>|\s?\w{1,5}|[\s\S]/g) ?? [];
  for (const [index, content] of tokens.entries()) {
    if (index === stallAfterTokens) await pause(2 ** 31 - 1, signal);
    yield toChunk({ delta: { content }, finish_reason: null });
    if (tokenMs > 0) await pause(tokenMs, signal);
  }
  if (fault !== undefined) throw fault;
  const decodeMs = performance.now() - start - timeToFirstTokenMs;
  yield {
    ...toChunk({ delta: {}, finish_reason: 'stop' }),
    usage: toUsage(tokens.length, timeToFirstTokenMs, decodeMs),
  };
}

async function collect(stream: AsyncIterable<ChatCompletionChunk>): Promise<ChatCompletion> {
  let content = '';
  let usage = toUsage(0, 0, 0);
  for await (const chunk of stream) {
    content += chunk.choices[0]?.delta.content ?? '';
    usage = chunk.usage ?? usage;
  }
  const message = { role: 'assistant', content, refusal: null } as const;
  const choice = { index: 0, message, finish_reason: 'stop', logprobs: null } as const;
  return {
    id: 'scripted',
    object: 'chat.completion',
    created: 0,
    model: INFO.model,
    choices: [choice],
    usage,
  };
}

function toChunk(
  choice: Pick<ChatCompletionChunk['choices'][number], 'delta' | 'finish_reason'>,
): ChatCompletionChunk {
  return {
    id: 'scripted',
    object: 'chat.completion.chunk',
    created: 0,
    model: INFO.model,
    choices: [{ index: 0, ...choice }],
  };
}

function toUsage(completionTokens: number, timeToFirstTokenMs: number, decodeMs: number): Usage {
  return {
    prompt_tokens: 229,
    completion_tokens: completionTokens,
    total_tokens: 229 + completionTokens,
    extra: {
      visionMs: 0,
      prefillMs: timeToFirstTokenMs,
      timeToFirstTokenMs,
      decodeMs,
      decodeTokensPerSecond: (completionTokens * 1000) / Math.max(1, decodeMs),
    },
  };
}

function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    }, milliseconds);
    if (signal?.aborted) onAbort();
    else signal?.addEventListener('abort', onAbort, { once: true });
  });
}
