import { abortable } from '../base/abortable.ts';
import { AutoglmError, isAbortError, isAutoglmError } from '../base/errors.ts';
import { ChatSessions } from './chat-sessions.ts';
import { NO_PREFILL, type PrefillRequest, type PrefillSummary } from './prefill.ts';
import type { SessionHost, Sessions } from './session.ts';
import type {
  BackendReason,
  CallOptions,
  ChatCompletions,
  TextCompletions,
  Engine,
  EngineInfo,
  EngineListener,
  MetricsListener,
} from './engine.ts';
import type {
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletionRequest,
  ChatMessage,
  CompletionRequest,
} from './openai.ts';

/** How to get an engine again after one has failed. */
export interface Recovery {
  /**
   * Makes another engine, never the failed one. It may take its time, until the signal fires.
   *
   * @returns undefined where nothing is to be gained; the fault stands then.
   */
  recover(fault: AutoglmError, failed: Engine, signal: AbortSignal): Promise<Engine | undefined>;
}

/** An answer under way and the engine that writes it. */
interface OpenStream {
  readonly engine: Engine;
  readonly chunks: AsyncIterable<ChatCompletionChunk>;
}

/** Faults of the engine, not of the request. */
const ENGINE_FAULTS: ReadonlySet<string> = new Set(['device-lost', 'out-of-memory', 'helper-unreachable']);

const FITS: BackendReason = { code: 'fits', text: 'The model fits into what this tab may use of the GPU.' };

/** Answers that lost their engine so often in a row, without a word in between, will not end. */
const MOST_TRIES = 5;

/**
 * An engine that outlives the one it runs on: when the device is lost, or the helper dies, another one takes over
 * and an answer goes on from the text so far.
 */
export class SteadyEngine implements Engine {
  readonly chat: { readonly completions: ChatCompletions };
  readonly completions: TextCompletions;
  /** Their histories are here and outlive an engine; what was saved is the engine's that saved it. */
  readonly sessions: Sessions;
  readonly #recovery: Recovery;
  readonly #listeners = new Set<EngineListener>();
  readonly #metricsListeners = new Set<MetricsListener>();
  #unwatch: (() => void) | undefined;
  readonly #unloading = new AbortController();
  #engine: Engine;
  /** The recovery under way, which all answers wait for. */
  #recovering: Promise<void> | undefined;

  constructor(engine: Engine, recovery: Recovery) {
    this.#engine = engine;
    this.#recovery = recovery;
    const create = (request: ChatCompletionRequest, options: CallOptions = {}) =>
      request.stream ? this.#stream(request, options) : this.#complete(request, options);
    this.chat = { completions: { create: create as ChatCompletions['create'] } };
    // Text without a conversation is not taken up again: it has no turn that an answer could go on in.
    const complete = async (request: CompletionRequest, options: CallOptions = {}) => {
      const signal = this.#combine(options.signal);
      const { completions } = await this.#current(signal);
      return request.stream
        ? completions.create({ ...request, stream: true }, { signal })
        : completions.create({ ...request, stream: false }, { signal });
    };
    this.completions = { create: complete as TextCompletions['create'] };
    const host = () => this.#sessionHost();
    this.sessions = new ChatSessions(this, {
      save: async (id, messages) => (await host()).save(id, messages),
      restore: async (id) => (await host()).restore(id),
      list: async () => (await host()).list(),
      delete: async (id) => (await host()).delete(id),
    });
  }

  get info(): EngineInfo {
    const { info } = this.#engine;
    return info.reason === undefined ? { ...info, reason: FITS } : info;
  }

  async countTokens(messages: readonly ChatMessage[], options: CallOptions = {}): Promise<number> {
    const signal = this.#combine(options.signal);
    const engine = await this.#current(signal);
    if (engine.countTokens) return engine.countTokens(messages, { signal });
    throw new AutoglmError('request-invalid', 'This backend does not count tokens.', {
      value: engine.info.backend,
      limit: 'webgpu',
      cure: 'Read the usage of an answer.',
    });
  }

  /** A fault here is the next answer's to meet, and to recover from. */
  async prefill(request: PrefillRequest, options: CallOptions = {}): Promise<PrefillSummary> {
    const signal = this.#combine(options.signal);
    const engine = await this.#current(signal);
    return (await engine.prefill?.(request, { signal })) ?? NO_PREFILL;
  }

  interruptGenerate(): void {
    this.#engine.interruptGenerate?.();
  }

  onChange(listener: EngineListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  onMetrics(listener: MetricsListener): () => void {
    this.#metricsListeners.add(listener);
    if (this.#metricsListeners.size === 1) this.#watch();
    return () => {
      this.#metricsListeners.delete(listener);
      if (this.#metricsListeners.size === 0) this.#watch();
    };
  }

  async unload(): Promise<void> {
    this.#unloading.abort(
      new AutoglmError('engine-unloaded', 'This engine was unloaded.', { cure: 'Create a new one.' }),
    );
    this.#listeners.clear();
    await this.#engine.unload();
  }

  async #complete(request: ChatCompletionRequest, options: CallOptions): Promise<ChatCompletion> {
    const signal = this.#combine(options.signal);
    for (let tries = 1; ; tries++) {
      const engine = await this.#current(signal);
      try {
        return await engine.chat.completions.create({ ...request, stream: false }, { signal });
      } catch (fault) {
        await this.#replace(fault, engine, signal, tries);
      }
    }
  }

  /** Faults of the request come from the call, as they do without this class. */
  async #stream(
    request: ChatCompletionRequest,
    options: CallOptions,
  ): Promise<AsyncIterable<ChatCompletionChunk>> {
    const signal = this.#combine(options.signal);
    return this.#follow(request, await this.#open(request, signal), signal);
  }

  async #open(request: ChatCompletionRequest, signal: AbortSignal): Promise<OpenStream> {
    for (let tries = 1; ; tries++) {
      const engine = await this.#current(signal);
      try {
        const chunks = await engine.chat.completions.create({ ...request, stream: true }, { signal });
        return { engine, chunks };
      } catch (fault) {
        await this.#replace(fault, engine, signal, tries);
      }
    }
  }

  async *#follow(
    request: ChatCompletionRequest,
    first: OpenStream,
    signal: AbortSignal,
  ): AsyncGenerator<ChatCompletionChunk> {
    let stream = first;
    let header: Pick<ChatCompletionChunk, 'id' | 'created' | 'model'> | undefined;
    let text = '';
    let count = 0;
    for (let tries = 0; ;) {
      const countBefore = count;
      const isResumed = stream !== first;
      try {
        for await (const chunk of stream.chunks) {
          const { id, created, model } = chunk;
          header ??= { id, created, model };
          const said = chunk.choices[0]?.delta.content ?? '';
          if (said !== '') count++;
          text += said;
          // The role was told before the engine changed.
          if (isResumed && isRoleOnly(chunk)) continue;
          yield isResumed ? { ...addUsage(chunk, countBefore), ...header } : chunk;
        }
        return;
      } catch (fault) {
        tries = count > countBefore ? 1 : tries + 1;
        if (text !== '' && !canContinue(request)) throw fault;
        await this.#replace(fault, stream.engine, signal, tries);
        stream = await this.#open(continued(request, text, count), signal);
      }
    }
  }

  async #sessionHost(): Promise<SessionHost> {
    const { sessions, info } = await this.#current(this.#unloading.signal);
    if (sessions) return sessions.host;
    throw new AutoglmError('request-invalid', 'This backend keeps no sessions.', {
      value: info.backend,
      limit: 'webgpu',
      cure: 'Keep the messages, and send them all.',
    });
  }

  /** The engine, once a recovery that is under way has ended. */
  async #current(signal: AbortSignal): Promise<Engine> {
    if (this.#recovering) await abortable(this.#recovering, signal);
    signal.throwIfAborted();
    return this.#engine;
  }

  /** Gets another engine in place of the failed one. @throws the fault where that is no use */
  async #replace(fault: unknown, failed: Engine, signal: AbortSignal, tries: number): Promise<void> {
    if (isAbortError(fault) || signal.aborted || !isAutoglmError(fault)) throw fault;
    if (!ENGINE_FAULTS.has(fault.code) || tries > MOST_TRIES) throw fault;
    // Another answer may have noticed first.
    if (this.#engine === failed && this.#recovering === undefined) {
      this.#recovering = this.#recover(fault, failed).finally(() => {
        this.#recovering = undefined;
      });
      // Whoever waits for it is told; nobody may wait any more.
      this.#recovering.catch(() => {});
    }
    await this.#current(signal);
  }

  /** Goes on when the answer that met the fault is stopped: the next one needs an engine as well. */
  async #recover(fault: AutoglmError, failed: Engine): Promise<void> {
    this.#tell({ type: 'interrupted', fault });
    const { signal } = this.#unloading;
    const engine = await this.#recovery.recover(fault, failed, signal);
    if (engine === undefined) throw fault;
    if (signal.aborted) {
      await engine.unload();
      signal.throwIfAborted();
    }
    this.#engine = engine;
    this.#watch();
    this.#tell({ type: 'running', info: this.info });
    // It is gone in most cases; what it still holds must not be kept beside the new one.
    await failed.unload().catch(() => {});
  }

  /** Listens to the engine of this moment, as long as somebody listens here. */
  #watch(): void {
    this.#unwatch?.();
    this.#unwatch =
      this.#metricsListeners.size === 0
        ? undefined
        : this.#engine.onMetrics?.((metrics) => {
            for (const listener of this.#metricsListeners) listener(metrics);
          });
  }

  #tell(change: Parameters<EngineListener>[0]): void {
    for (const listener of this.#listeners) listener(change);
  }

  #combine(signal: AbortSignal | undefined): AbortSignal {
    const unloading = this.#unloading.signal;
    unloading.throwIfAborted();
    return signal ? AbortSignal.any([unloading, signal]) : unloading;
  }
}

/** Text that a grammar, a tool call or one of several answers began cannot be taken up in the middle. */
function canContinue(request: ChatCompletionRequest): boolean {
  const { response_format: format, tools, n, logprobs, reasoning_format: reasoning } = request;
  const isPlain = (!format || format.type === 'text') && (reasoning ?? 'raw') === 'raw';
  return isPlain && !(tools && tools.length > 0) && (n ?? 1) === 1 && !logprobs;
}

/** The same request, going on behind what was said already. */
function continued(request: ChatCompletionRequest, text: string, count: number): ChatCompletionRequest {
  if (text === '') return request;
  const { max_tokens: maxTokens, messages } = request;
  return {
    ...request,
    messages: [...messages, { role: 'assistant', content: text }],
    // vLLM's and SGLang's names, which the local engine shares.
    continue_final_message: true,
    add_generation_prompt: false,
    ...(typeof maxTokens === 'number' && { max_tokens: Math.max(1, maxTokens - count) }),
  };
}

function isRoleOnly({ choices, usage }: ChatCompletionChunk): boolean {
  const [choice] = choices;
  return (
    choice !== undefined && !choice.delta.content && choice.finish_reason === null && usage === undefined
  );
}

/** Tokens that an engine before wrote belong to the answer, not to its prompt. */
function addUsage(chunk: ChatCompletionChunk, count: number): ChatCompletionChunk {
  const { usage } = chunk;
  if (!usage) return chunk;
  const { prompt_tokens: prompt, completion_tokens: completion } = usage;
  return {
    ...chunk,
    usage: { ...usage, prompt_tokens: Math.max(0, prompt - count), completion_tokens: completion + count },
  };
}
