import { AutoglmError, isAbortError, toError } from '../base/errors.ts';
import type { Engine } from '../engine/engine.ts';
import type { EngineOptions, LoadSettings } from '../engine/engine-options.ts';
import type { ChatCompletionRequest, ChatMessage, CompletionRequest } from '../engine/openai.ts';
import { NO_PREFILL, type PrefillRequest } from '../engine/prefill.ts';
import type { WorkerRequest, WorkerResponse } from '../protocol/worker-messages.ts';

/** Opens the engine that a host serves. */
export type OpenEngine = (options: EngineOptions) => Promise<Engine>;

/** The worker's end of the protocol: runs calls on one engine and answers by messages. */
export class EngineHost {
  readonly #open: OpenEngine;
  readonly #send: (message: WorkerResponse) => void;
  readonly #aborts = new Map<number, AbortController>();
  #engine: Engine | undefined;
  #unwatch: (() => void) | undefined;

  constructor(open: OpenEngine, send: (message: WorkerResponse) => void) {
    this.#open = open;
    this.#send = send;
  }

  /** Takes a message of the page; resolves when its call has ended. */
  async receive(message: WorkerRequest): Promise<void> {
    if (message.type === 'abort') {
      this.#aborts.get(message.call)?.abort();
      return;
    }
    const { call } = message;
    const controller = new AbortController();
    this.#aborts.set(call, controller);
    try {
      this.#send(await this.#run(message, controller.signal));
    } catch (error) {
      this.#send(toFailure(call, error));
    } finally {
      this.#aborts.delete(call);
    }
  }

  /** Stops everything and gives the engine back, as when its page asks for it or is gone. */
  async close(): Promise<void> {
    for (const controller of this.#aborts.values()) controller.abort();
    this.#unwatch?.();
    const engine = this.#engine;
    this.#engine = undefined;
    await engine?.unload();
  }

  async #run(
    message: Exclude<WorkerRequest, { type: 'abort' }>,
    signal: AbortSignal,
  ): Promise<WorkerResponse> {
    const { call } = message;
    switch (message.type) {
      case 'load': {
        const settings = message.options as LoadSettings;
        this.#engine = await this.#open({
          ...settings,
          signal,
          onProgress: (progress) => this.#send({ type: 'progress', call, progress }),
        });
        return { type: 'result', call, value: this.#engine.info };
      }
      case 'chat':
        return this.#chat(call, message.request as ChatCompletionRequest, signal);
      case 'complete':
        return this.#complete(call, message.request as CompletionRequest, signal);
      case 'count': {
        const messages = message.messages as readonly ChatMessage[];
        const value = await this.#requireEngine().countTokens?.(messages, { signal });
        return { type: 'result', call, value };
      }
      case 'prefill': {
        const request = message.request as PrefillRequest;
        const value = (await this.#requireEngine().prefill?.(request, { signal })) ?? NO_PREFILL;
        return { type: 'result', call, value };
      }
      case 'save':
      case 'restore':
      case 'forget':
      case 'saved':
        return { type: 'result', call, value: await this.#keep(message) };
      case 'interrupt':
        this.#engine?.interruptGenerate?.();
        return { type: 'result', call, value: undefined };
      case 'watch':
        this.#watch(call, message.isOn);
        return { type: 'result', call, value: undefined };
      case 'unload':
        await this.close();
        return { type: 'result', call, value: undefined };
    }
  }

  async #chat(call: number, request: ChatCompletionRequest, signal: AbortSignal): Promise<WorkerResponse> {
    const { completions } = this.#requireEngine().chat;
    if (!request.stream) {
      const value = await completions.create({ ...request, stream: false }, { signal });
      return { type: 'result', call, value };
    }
    const chunks = await completions.create({ ...request, stream: true }, { signal });
    for await (const chunk of chunks) this.#send({ type: 'chunk', call, chunk });
    return { type: 'end', call };
  }

  async #complete(call: number, request: CompletionRequest, signal: AbortSignal): Promise<WorkerResponse> {
    const { completions } = this.#requireEngine();
    if (!request.stream) {
      const value = await completions.create({ ...request, stream: false }, { signal });
      return { type: 'result', call, value };
    }
    const chunks = await completions.create({ ...request, stream: true }, { signal });
    for await (const chunk of chunks) this.#send({ type: 'chunk', call, chunk });
    return { type: 'end', call };
  }

  #watch(call: number, isOn: boolean): void {
    this.#unwatch?.();
    this.#unwatch = isOn
      ? this.#requireEngine().onMetrics?.((metrics) => this.#send({ type: 'metrics', call, metrics }))
      : undefined;
  }

  async #keep(
    message: Extract<WorkerRequest, { type: 'save' | 'restore' | 'forget' | 'saved' }>,
  ): Promise<unknown> {
    const { sessions } = this.#requireEngine();
    if (!sessions) throw new AutoglmError('request-invalid', 'This engine keeps no sessions.');
    const { host } = sessions;
    switch (message.type) {
      case 'save':
        return host.save(message.id, message.messages as readonly ChatMessage[]);
      case 'restore':
        return host.restore(message.id);
      case 'forget':
        return host.delete(message.id);
      case 'saved':
        return host.list();
    }
  }

  #requireEngine(): Engine {
    if (this.#engine) return this.#engine;
    throw new AutoglmError('engine-unloaded', 'The worker has no engine yet.', {
      cure: 'Load a model first.',
    });
  }
}

function toFailure(call: number, thrown: unknown): WorkerResponse {
  const error = toError(thrown);
  if (isAbortError(error)) return { type: 'aborted', call };
  return { type: 'error', call, error: (error as AutoglmError).toJSON() };
}
