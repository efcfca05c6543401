import type { AnswerMetrics } from './answer-metrics.ts';
import { AutoglmError } from '../base/errors.ts';
import type { WorkerRequest, WorkerResponse } from '../protocol/worker-messages.ts';
import type {
  CallOptions,
  ChatCompletions,
  Engine,
  EngineInfo,
  LoadProgress,
  MetricsListener,
  TextCompletions,
} from './engine.ts';
import type { EngineOptions, LoadSettings } from './engine-options.ts';
import type { EngineWorker } from './shared-worker-port.ts';
import type { FitReport } from './fit-report.ts';
import { ChatSessions } from './chat-sessions.ts';
import type { PrefillRequest, PrefillSummary } from './prefill.ts';
import type { SavedConversation, Sessions } from './session.ts';
import type {
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletionRequest,
  ChatMessage,
  Completion,
  CompletionRequest,
} from './openai.ts';

type Answer = Exclude<WorkerResponse, { type: 'progress' | 'metrics' }>;

/** One call that waits for its answers. */
interface OpenCall {
  readonly onAnswer: (answer: Answer) => void;
  readonly onProgress?: ((progress: LoadProgress) => void) | undefined;
}

/** Calls about saved sessions, and those that end all answers or watch them; the connection numbers them. */
type KeepRequest = WithoutCall<
  Extract<WorkerRequest, { type: 'save' | 'restore' | 'forget' | 'saved' | 'interrupt' | 'watch' }>
>;
type WithoutCall<T> = T extends unknown ? Omit<T, 'call'> : never;

/** The page's end of an engine that runs in a worker. */
export class WorkerEngine implements Engine {
  readonly info: EngineInfo;
  readonly chat: { readonly completions: ChatCompletions };
  readonly completions: TextCompletions;
  readonly sessions: Sessions;
  readonly #connection: WorkerConnection;

  constructor(connection: WorkerConnection, info: EngineInfo) {
    this.#connection = connection;
    this.info = info;
    this.chat = { completions: new WorkerCompletions<ChatTypes>(connection, 'chat') as ChatCompletions };
    this.completions = new WorkerCompletions<TextTypes>(connection, 'complete') as TextCompletions;
    this.sessions = new ChatSessions(this, {
      save: async (id, messages) =>
        (await connection.keep({ type: 'save', id, messages })) as SavedConversation,
      restore: async (id) => (await connection.keep({ type: 'restore', id })) as readonly ChatMessage[],
      delete: async (id) => void (await connection.keep({ type: 'forget', id })),
      list: async () => (await connection.keep({ type: 'saved' })) as SavedConversation[],
    });
  }

  /** Ends all answers that are being given or wait, as complete as they are. */
  interruptGenerate(): void {
    // What an engine that is gone has to say to it is of no interest.
    this.#connection.keep({ type: 'interrupt' }).catch(() => {});
  }

  onMetrics(listener: MetricsListener): () => void {
    const { metricsListeners: listeners } = this.#connection;
    const watch = (isOn: boolean): void =>
      void this.#connection.keep({ type: 'watch', isOn }).catch(() => {});
    if (listeners.size === 0) watch(true);
    listeners.add(listener);
    return () => {
      if (listeners.delete(listener) && listeners.size === 0) watch(false);
    };
  }

  /** Loads a model in the worker; when it fails, the worker is ended. */
  static async load(worker: EngineWorker, options: EngineOptions): Promise<WorkerEngine> {
    const connection = new WorkerConnection(worker);
    const { signal, onProgress, ...settings } = options;
    try {
      const info = await connection.load(settings, { signal, onProgress });
      return new WorkerEngine(connection, info);
    } catch (error) {
      connection.terminate();
      throw error;
    }
  }

  async countTokens(messages: readonly ChatMessage[], { signal }: CallOptions = {}): Promise<number> {
    return (await this.#connection.count(messages, signal)) as number;
  }

  async prefill(request: PrefillRequest, { signal }: CallOptions = {}): Promise<PrefillSummary> {
    return (await this.#connection.call('prefill', request, signal)) as PrefillSummary;
  }

  /** What the model takes on the GPU, and what was given up for it. */
  plan(): FitReport | undefined {
    return this.info.plan;
  }

  async unload(): Promise<void> {
    await this.#connection.unload();
  }
}

/** What a kind of completion takes and gives. */
interface ChatTypes {
  readonly request: ChatCompletionRequest;
  readonly whole: ChatCompletion;
  readonly chunk: ChatCompletionChunk;
}
interface TextTypes {
  readonly request: CompletionRequest;
  readonly whole: Completion;
  readonly chunk: Completion;
}

class WorkerCompletions<T extends ChatTypes | TextTypes> {
  readonly #connection: WorkerConnection;
  readonly #type: 'chat' | 'complete';

  constructor(connection: WorkerConnection, type: 'chat' | 'complete') {
    this.#connection = connection;
    this.#type = type;
  }

  async create(
    request: T['request'],
    { signal }: CallOptions = {},
  ): Promise<AsyncIterable<T['chunk']> | T['whole']> {
    if (request.stream) return this.#connection.stream<T['chunk']>(this.#type, request, signal);
    return (await this.#connection.call(this.#type, request, signal)) as T['whole'];
  }
}

/** Numbers calls and deals the worker's answers out to them. */
class WorkerConnection {
  readonly #worker: EngineWorker;
  readonly metricsListeners = new Set<MetricsListener>();
  readonly #calls = new Map<number, OpenCall>();
  #lastCall = 0;
  #fault: AutoglmError | undefined;

  constructor(worker: EngineWorker) {
    this.#worker = worker;
    worker.addEventListener('message', ({ data }: MessageEvent<WorkerResponse>) => this.#receive(data));
    worker.addEventListener('error', ({ message }) => this.#fail(`The engine's worker failed: ${message}`));
    worker.addEventListener('messageerror', () =>
      this.#fail("The engine's worker sent an unreadable message."),
    );
  }

  async load(
    options: LoadSettings,
    { signal, onProgress }: Pick<EngineOptions, 'signal' | 'onProgress'>,
  ): Promise<EngineInfo> {
    const call = this.#nextCall();
    return (await this.#request({ type: 'load', call, options }, signal, onProgress)) as EngineInfo;
  }

  async call(
    type: 'chat' | 'complete' | 'prefill',
    request: unknown,
    signal: AbortSignal | undefined,
  ): Promise<unknown> {
    return this.#request({ type, call: this.#nextCall(), request }, signal);
  }

  /** A call that is answered by one value. */
  keep(message: KeepRequest): Promise<unknown> {
    return this.#request({ ...message, call: this.#nextCall() }, undefined);
  }

  async count(messages: unknown, signal: AbortSignal | undefined): Promise<unknown> {
    return this.#request({ type: 'count', call: this.#nextCall(), messages }, signal);
  }

  /** Ends the worker when it has freed the GPU; calls that are still open fail. Idempotent. */
  async unload(): Promise<void> {
    if (this.#fault) return;
    const done = this.#request({ type: 'unload', call: this.#nextCall() }, undefined);
    const fault = new AutoglmError('engine-unloaded', 'This engine was unloaded.', {
      cure: 'Create a new one.',
    });
    this.#fault = fault;
    try {
      await done;
    } finally {
      // What the worker still had to say to other calls is lost with it.
      this.#end(fault);
    }
  }

  terminate(): void {
    this.#worker.terminate();
  }

  async *stream<Chunk>(
    type: 'chat' | 'complete',
    request: unknown,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<Chunk> {
    signal?.throwIfAborted();
    const call = this.#nextCall();
    const queue = new AnswerQueue();
    const close = this.#open({ type, call, request }, { onAnswer: (answer) => queue.push(answer) }, signal);
    let isFinished = false;
    try {
      for (;;) {
        const answer = await queue.next();
        isFinished = answer.type !== 'chunk';
        if (answer.type !== 'chunk') {
          this.#settle(answer, signal);
          return;
        }
        yield answer.chunk as Chunk;
      }
    } finally {
      close();
      // The reader left the loop: the worker stops.
      if (!isFinished) this.#send({ type: 'abort', call });
    }
  }

  async #request(
    message: WorkerRequest,
    signal: AbortSignal | undefined,
    onProgress?: (progress: LoadProgress) => void,
  ): Promise<unknown> {
    signal?.throwIfAborted();
    const queue = new AnswerQueue();
    const onAnswer = (answer: Answer): void => queue.push(answer);
    const close = this.#open(message, { onAnswer, onProgress }, signal);
    try {
      return this.#settle(await queue.next(), signal);
    } finally {
      close();
    }
  }

  /** Sends a call and forwards the signal's abort; the function that it returns forgets the call. */
  #open(message: WorkerRequest, call: OpenCall, signal: AbortSignal | undefined): () => void {
    if (this.#fault) throw this.#fault;
    this.#send(message);
    this.#calls.set(message.call, call);
    const onAbort = (): void => this.#send({ type: 'abort', call: message.call });
    signal?.addEventListener('abort', onAbort, { once: true });
    return () => {
      signal?.removeEventListener('abort', onAbort);
      this.#calls.delete(message.call);
    };
  }

  #send(message: WorkerRequest): void {
    try {
      this.#worker.postMessage(message);
    } catch (cause) {
      throw new AutoglmError(
        'request-invalid',
        `The request cannot be sent to the worker: ${String(cause)}.`,
        {
          limit: 'plain data, without functions',
          cure: 'Pass "signal" and the like as options of the call.',
          cause,
        },
      );
    }
  }

  /** The value of a last answer, or its error. */
  #settle(answer: Answer, signal: AbortSignal | undefined): unknown {
    if (answer.type === 'error') throw AutoglmError.fromJSON(answer.error);
    if (answer.type !== 'aborted') return answer.type === 'result' ? answer.value : undefined;
    signal?.throwIfAborted();
    throw this.#fault ?? new DOMException('The call was aborted.', 'AbortError');
  }

  #receive(message: WorkerResponse): void {
    if (message.type === 'metrics') {
      for (const listener of this.metricsListeners) listener(message.metrics as AnswerMetrics);
      return;
    }
    const call = this.#calls.get(message.call);
    if (message.type === 'progress') call?.onProgress?.(message.progress as LoadProgress);
    else call?.onAnswer(message);
  }

  #fail(message: string): void {
    // The first fault is the cause; later ones follow from it.
    this.#fault ??= new AutoglmError('internal', message, { cure: 'Load the model again.' });
    this.#end(this.#fault);
  }

  /** Ends the worker and, with the fault, every call that still waits for it. */
  #end(fault: AutoglmError): void {
    this.terminate();
    const error = fault.toJSON();
    for (const [call, { onAnswer }] of this.#calls) onAnswer({ type: 'error', call, error });
  }

  #nextCall(): number {
    return ++this.#lastCall;
  }
}

/** Answers of a stream that the reader has not taken yet. */
class AnswerQueue {
  readonly #answers: Answer[] = [];
  #wake: (() => void) | undefined;

  push(answer: Answer): void {
    this.#answers.push(answer);
    this.#wake?.();
  }

  async next(): Promise<Answer> {
    while (this.#answers.length === 0) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#answers.shift() as Answer;
  }
}
