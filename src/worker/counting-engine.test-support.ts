/** An engine without a model, for tests of the protocol: it counts, and remembers how its calls ended. */
import { AutoglmError } from '../base/errors.ts';
import type {
  CallOptions,
  ChatCompletions,
  Engine,
  EngineInfo,
  MetricsListener,
  TextCompletions,
} from '../engine/engine.ts';
import { ChatSessions } from '../engine/chat-sessions.ts';
import type { PrefillRequest, PrefillSummary } from '../engine/prefill.ts';
import type { SavedConversation, Sessions } from '../engine/session.ts';
import type { EngineOptions } from '../engine/engine-options.ts';
import type {
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletionRequest,
  ChatMessage,
  Completion,
  CompletionRequest,
} from '../engine/openai.ts';

const INFO: EngineInfo = {
  model: 'counting',
  backend: 'webgpu',
  adapter: 'none',
  isSoftware: true,
  contextWindow: 64,
  gpuBytes: 0,
  quantization: 'none',
};

/** Counts from 1 to `max_tokens`, one number a turn of the event loop. A message of `fail` throws after 2. */
export class CountingEngine implements Engine {
  readonly info = INFO;
  readonly chat: { readonly completions: ChatCompletions };
  readonly completions: TextCompletions;
  /** How each stream ended, in order. */
  readonly outcomes: ('whole' | 'left' | 'failed')[] = [];
  readonly requests: ChatCompletionRequest[] = [];
  /** Sessions that were saved, by id. */
  readonly saved = new Map<string, readonly ChatMessage[]>();
  readonly sessions: Sessions;
  readonly metricsListeners = new Set<MetricsListener>();
  interruptCount = 0;
  isUnloaded = false;

  constructor() {
    this.sessions = new ChatSessions(this, {
      save: async (id, messages) => {
        this.saved.set(id, messages);
        return toSaved(id, messages);
      },
      restore: async (id) => {
        const messages = this.saved.get(id);
        if (messages) return messages;
        throw new AutoglmError('session-missing', 'It is not there.', { value: id });
      },
      list: async () => [...this.saved].map(([id, messages]) => toSaved(id, messages)),
      delete: async (id) => void this.saved.delete(id),
    });
    const create = async (request: ChatCompletionRequest, options: CallOptions = {}) => {
      this.requests.push(request);
      if (request.stream) return this.#stream(request, options.signal);
      const numbers: string[] = [];
      for await (const { choices } of this.#stream(request, options.signal)) {
        numbers.push(choices[0]?.delta.content ?? '');
      }
      return toCompletion(numbers.join(''));
    };
    this.chat = { completions: { create: create as ChatCompletions['create'] } };
    const complete = async (request: CompletionRequest) => {
      const chunk = (text: string): Completion => ({
        id: 'c',
        object: 'text_completion',
        created: 0,
        model: INFO.model,
        choices: [{ index: 0, text, finish_reason: 'length', logprobs: null }],
      });
      const parts = ['1 ', '2 '].map(chunk);
      return request.stream ? toStream(parts) : chunk('1 2 ');
    };
    this.completions = { create: complete as TextCompletions['create'] };
  }

  async countTokens(messages: readonly ChatMessage[]): Promise<number> {
    await nextTurn();
    return messages.length;
  }

  async prefill({ messages }: PrefillRequest, { signal }: CallOptions = {}): Promise<PrefillSummary> {
    while (messages[0]?.content === 'slow') {
      await nextTurn();
      signal?.throwIfAborted();
    }
    return { promptTokens: messages.length, cachedTokens: 0, computedTokens: messages.length };
  }

  onMetrics(listener: MetricsListener): () => void {
    this.metricsListeners.add(listener);
    return () => void this.metricsListeners.delete(listener);
  }

  interruptGenerate(): void {
    this.interruptCount++;
  }

  async unload(): Promise<void> {
    await nextTurn();
    this.isUnloaded = true;
  }

  async *#stream(
    { messages, max_tokens: most }: ChatCompletionRequest,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<ChatCompletionChunk> {
    const count = most ?? 3;
    let outcome: 'whole' | 'left' | 'failed' = 'left';
    try {
      for (let number = 1; number <= count; number++) {
        await nextTurn();
        signal?.throwIfAborted();
        if (number > 2 && messages[0]?.content === 'fail') {
          throw new AutoglmError('prompt-too-long', 'It is too long.', {
            value: 9,
            limit: 8,
            cure: 'Cut it.',
          });
        }
        yield toChunk(`${number} `);
      }
      outcome = 'whole';
    } catch (error) {
      outcome = 'failed';
      throw error;
    } finally {
      this.outcomes.push(outcome);
      const timings = {
        visionMs: 0,
        prefillMs: 0,
        timeToFirstTokenMs: 0,
        decodeMs: 0,
        decodeTokensPerSecond: 0,
      };
      const metrics = { promptTokens: 1, cachedTokens: 0, completionTokens: count, timings };
      const told = outcome === 'whole' ? 'length' : outcome === 'left' ? 'abort' : 'error';
      for (const listener of this.metricsListeners) listener({ ...metrics, outcome: told });
    }
  }
}

/** Opens a `CountingEngine` with two reports of progress; `model: 'missing'` fails, `'slow'` waits for the abort. */
export function createOpener(): {
  open: (options: EngineOptions) => Promise<Engine>;
  engines: CountingEngine[];
  options: EngineOptions[];
} {
  const engines: CountingEngine[] = [];
  const options: EngineOptions[] = [];
  const open = async (one: EngineOptions): Promise<Engine> => {
    options.push(one);
    for (const loadedBytes of [0, 10]) {
      one.onProgress?.({ phase: 'uploading', loadedBytes, totalBytes: 10, bytesPerSecond: 0 });
    }
    if (one.model === 'missing') {
      throw new AutoglmError('file-missing', 'There is no such model.', { value: 'missing', cure: 'Look.' });
    }
    while (one.model === 'slow') {
      await nextTurn();
      one.signal?.throwIfAborted();
    }
    const engine = new CountingEngine();
    engines.push(engine);
    return engine;
  };
  return { open, engines, options };
}

async function* toStream<T>(items: readonly T[]): AsyncGenerator<T> {
  for (const item of items) {
    await nextTurn();
    yield item;
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}

function toChunk(content: string): ChatCompletionChunk {
  return {
    id: 'c',
    object: 'chat.completion.chunk',
    created: 0,
    model: 'counting',
    choices: [{ index: 0, delta: { content }, finish_reason: null }],
  };
}

function toCompletion(content: string): ChatCompletion {
  return {
    id: 'c',
    object: 'chat.completion',
    created: 0,
    model: 'counting',
    choices: [
      {
        index: 0,
        message: { role: 'assistant', content, refusal: null },
        finish_reason: 'length',
        logprobs: null,
      },
    ],
    usage: { prompt_tokens: 1, completion_tokens: 3, total_tokens: 4 },
  };
}

function toSaved(id: string, { length }: readonly ChatMessage[]): SavedConversation {
  return { id, savedAt: 0, tokenCount: length, byteLength: 0 };
}
