import type {
  ChatCompletionChunk,
  ChatCompletionRequest,
  ChatOptions,
  Completion,
  CompletionCreateParams,
  EmbeddingCreateParams,
  LogitProcessor,
  LogLevel,
  AppConfig,
  ResumeChatCompletionOptions,
} from '@mlc-ai/web-llm';
import { AutoglmError, toError, type SerializedError } from '../../base/errors.ts';
import { MLCEngine } from './mlc-engine.ts';

/** A message of a page; its kinds and contents are web-llm's, so that either end may be web-llm's own. */
export interface MlcWorkerRequest {
  readonly kind: string;
  readonly uuid: string;
  readonly content?: unknown;
}

/** An answer to it. */
export interface MlcWorkerResponse {
  readonly kind: 'return' | 'throw' | 'initProgressCallback' | 'heartbeat';
  readonly uuid: string;
  readonly content?: unknown;
  /** Beside a fault's text: the package's own error, which its own client rebuilds. */
  readonly error?: SerializedError;
}

/** Messages that web-llm's client sends without waiting for an answer: one would be a fault to it. */
const ONE_WAY: ReadonlySet<string> = new Set(['setLogLevel', 'setAppConfig', 'customRequest']);

type Contents = Readonly<Record<string, unknown>>;
type Chunk = ChatCompletionChunk | Completion;

/** The worker's end of web-llm's protocol: `const handler = new …(); self.onmessage = (e) => handler.onmessage(e)`. */
export class WebWorkerMLCEngineHandler {
  engine: MLCEngine;
  /** What is loaded. */
  modelId?: string[] | undefined;
  chatOpts?: ChatOptions[] | undefined;
  readonly #streams = new Map<string, AsyncIterator<Chunk>>();

  constructor(engine = new MLCEngine()) {
    this.engine = engine;
    this.engine.setInitProgressCallback((report) =>
      this.postMessage({ kind: 'initProgressCallback', uuid: '', content: report }),
    );
  }

  /** Sends to the page. */
  postMessage(message: MlcWorkerResponse): void {
    self.postMessage(message);
  }

  /** Sets processors of logits by model id, for the next load. */
  setLogitProcessorRegistry(logitProcessorRegistry?: Map<string, LogitProcessor>): void {
    this.engine.setLogitProcessorRegistry(logitProcessorRegistry);
  }

  /** Takes a message of the page and answers it. */
  onmessage(event: unknown, onComplete?: (value: unknown) => void, onError?: () => void): void {
    // A worker passes the event, a message port sometimes its data.
    const data = event instanceof MessageEvent ? (event.data as unknown) : event;
    const request = data as MlcWorkerRequest;
    if (typeof request?.kind !== 'string') return;
    void this.#answer(request, onComplete, onError);
  }

  async #answer(
    request: MlcWorkerRequest,
    onComplete: ((value: unknown) => void) | undefined,
    onError: (() => void) | undefined,
  ): Promise<void> {
    const { uuid } = request;
    try {
      const content = await this.#run(request);
      if (!ONE_WAY.has(request.kind)) this.postMessage({ kind: 'return', uuid, content });
      onComplete?.(content);
    } catch (thrown) {
      const error = toError(thrown);
      this.postMessage({
        kind: 'throw',
        uuid,
        content: error.message,
        ...(error instanceof AutoglmError && { error: error.toJSON() }),
      });
      onError?.();
    }
  }

  async #run({ kind, content }: MlcWorkerRequest): Promise<unknown> {
    const { engine } = this;
    const fields = (typeof content === 'object' && content !== null ? content : {}) as Contents;
    const modelId = fields['modelId'] as string | undefined;
    switch (kind) {
      case 'reload':
        return this.#reload(fields['modelId'] as string[], fields['chatOpts'] as ChatOptions[] | undefined);
      case 'chatCompletionNonStreaming':
        await this.#reloadIfUnmatched(fields);
        return engine.chatCompletion({ ...(fields['request'] as ChatCompletionRequest), stream: false });
      case 'completionNonStreaming':
        await this.#reloadIfUnmatched(fields);
        return engine.completion({ ...(fields['request'] as CompletionCreateParams), stream: false });
      case 'chatCompletionStreamInit': {
        await this.#reloadIfUnmatched(fields);
        const request = { ...(fields['request'] as ChatCompletionRequest), stream: true } as const;
        return this.#keep(fields, await engine.chatCompletion(request));
      }
      case 'completionStreamInit': {
        await this.#reloadIfUnmatched(fields);
        const request = { ...(fields['request'] as CompletionCreateParams), stream: true } as const;
        return this.#keep(fields, await engine.completion(request));
      }
      case 'completionStreamNextChunk':
        return this.#next(fields['streamId'] as string);
      case 'completionStreamReturn': {
        const streamId = fields['streamId'] as string;
        const stream = this.#streams.get(streamId);
        this.#streams.delete(streamId);
        await stream?.return?.();
        return null;
      }
      case 'embedding':
        await this.#reloadIfUnmatched(fields);
        return engine.embedding(fields['request'] as EmbeddingCreateParams);
      case 'listResumableSessions':
        return engine.listResumableSessions();
      case 'resumeChatCompletion':
      case 'resumeChatCompletionStreamInit':
        return engine.resumeChatCompletion(
          fields['sessionId'] as string,
          fields['options'] as ResumeChatCompletionOptions | undefined,
        );
      case 'deleteResumableSession':
        return engine.deleteResumableSession(fields['sessionId'] as string);
      case 'runtimeStatsText':
        return engine.runtimeStatsText(modelId);
      case 'interruptGenerate':
        return engine.interruptGenerate();
      case 'unload':
        this.modelId = undefined;
        this.chatOpts = undefined;
        return engine.unload();
      case 'resetChat':
        return engine.resetChat(fields['keepStats'] as boolean | undefined, modelId);
      case 'getMessage':
        return engine.getMessage(modelId);
      case 'getMaxStorageBufferBindingSize':
        return engine.getMaxStorageBufferBindingSize();
      case 'getGPUVendor':
        return engine.getGPUVendor();
      case 'forwardTokensAndSample':
        return engine.forwardTokensAndSample(
          fields['inputIds'] as number[],
          fields['isPrefill'] as boolean,
          modelId,
        );
      case 'setLogLevel':
        return engine.setLogLevel(content as LogLevel);
      case 'setAppConfig':
        return engine.setAppConfig(content as AppConfig);
      case 'customRequest':
        return null;
      default:
        throw new AutoglmError('request-invalid', `The worker knows no message of the kind "${kind}".`, {
          value: kind,
          cure: 'Use the same version of the package on both sides.',
        });
    }
  }

  async #reload(modelId: string[], chatOpts: ChatOptions[] | undefined): Promise<null> {
    await this.engine.reload(modelId, chatOpts);
    this.modelId = modelId;
    this.chatOpts = chatOpts;
    return null;
  }

  /** A worker that was started anew in between has lost the page's model. */
  async #reloadIfUnmatched(fields: Contents): Promise<void> {
    const expected = fields['modelId'] as string[] | undefined;
    const chatOpts = fields['chatOpts'] as ChatOptions[] | undefined;
    if (!expected || isSame([this.modelId, this.chatOpts ?? null], [expected, chatOpts ?? null])) return;
    await this.#reload(expected, chatOpts);
  }

  #keep(fields: Contents, stream: AsyncIterable<Chunk>): null {
    this.#streams.set(fields['streamId'] as string, stream[Symbol.asyncIterator]());
    return null;
  }

  async #next(streamId: string): Promise<Chunk | undefined> {
    const stream = this.#streams.get(streamId);
    if (!stream) {
      throw new AutoglmError('request-invalid', 'The worker has no such stream: it has ended.', {
        value: streamId,
        cure: 'Ask again.',
      });
    }
    try {
      const next = await stream.next();
      if (!next.done) return next.value;
    } catch (error) {
      this.#streams.delete(streamId);
      throw error;
    }
    this.#streams.delete(streamId);
    return undefined;
  }
}

function isSame(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
