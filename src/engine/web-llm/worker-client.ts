import type {
  AppConfig,
  ChatCompletionChunk,
  ChatCompletionRequest,
  ChatOptions,
  Completion,
  CompletionCreateParams,
  CreateEmbeddingResponse,
  EmbeddingCreateParams,
  InitProgressReport,
  LogLevel,
  MLCEngineConfig,
  MLCEngineInterface,
  ResumeChatCompletionOptions,
  ResumeProbeResult,
  ResumeResult,
} from '@mlc-ai/web-llm';
import { AutoglmError } from '../../base/errors.ts';
import { isAutoglm, prebuiltAppConfig } from './app-config.ts';
import { MlcInterface, type MlcChatAnswer, type MlcTextAnswer } from './mlc-interface.ts';
import { toAbsoluteUrl } from './model-cache.ts';
import type { MlcWorkerRequest, MlcWorkerResponse } from './worker-handler.ts';

/** What carries messages to a handler: a worker, or a port. */
export interface ChatWorker {
  /** Gets the handler's answers. */
  onmessage: ((event: MessageEvent<MlcWorkerResponse>) => unknown) | null;
  /** Sends to the handler. */
  postMessage(message: MlcWorkerRequest): void;
}

interface Waiting {
  readonly resolve: (value: never) => void;
  readonly reject: (error: Error) => void;
}

/** The page's end of an engine whose handler runs in a worker: web-llm's class of this name. */
export class WebWorkerMLCEngine extends MlcInterface implements MLCEngineInterface {
  readonly worker: ChatWorker;
  /** What is loaded; sent with every request, so that a worker that was started anew loads it again. */
  modelId?: string[] | undefined;
  chatOpts?: ChatOptions[] | undefined;
  readonly #waiting = new Map<string, Waiting>();

  constructor(worker: ChatWorker, engineConfig: MLCEngineConfig = {}) {
    super(engineConfig.initProgressCallback);
    this.worker = worker;
    // A port need have no more than these two members.
    // oxlint-disable-next-line unicorn/prefer-add-event-listener
    worker.onmessage = (event) => this.onmessage(event);
    if (engineConfig.logitProcessorRegistry) {
      throw new AutoglmError('request-invalid', 'Functions cannot be sent to a worker.', {
        value: 'logitProcessorRegistry',
        param: 'logitProcessorRegistry',
        fieldFault: 'unsupported',
        cure: 'Call setLogitProcessorRegistry of the handler in the worker.',
      });
    }
    this.setAppConfig(engineConfig.appConfig ?? prebuiltAppConfig);
    if (engineConfig.logLevel) this.setLogLevel(engineConfig.logLevel);
  }

  setAppConfig(appConfig: AppConfig): void {
    // Relative addresses belong to the page; a worker has its own.
    const model_list = appConfig.model_list.map((record) =>
      isAutoglm(record) ? { ...record, model: toAbsoluteUrl(record.model) } : record,
    );
    this.#tell('setAppConfig', { ...appConfig, model_list });
  }

  setLogLevel(logLevel: LogLevel): void {
    this.#tell('setLogLevel', logLevel);
  }

  async reload(modelId: string | string[], chatOpts?: ChatOptions | ChatOptions[]): Promise<void> {
    const ids = Array.isArray(modelId) ? modelId : [modelId];
    const options = chatOpts === undefined || Array.isArray(chatOpts) ? chatOpts : [chatOpts];
    await this.#request('reload', { modelId: ids, ...(options && { chatOpts: options }) });
    this.modelId = ids;
    this.chatOpts = options;
  }

  /** Answers a conversation in either way. */
  protected override async answerChat(request: ChatCompletionRequest): Promise<MlcChatAnswer> {
    if (request.stream) return this.#stream<ChatCompletionChunk>('chatCompletionStreamInit', request);
    return this.#request('chatCompletionNonStreaming', { request, ...this.#expected() });
  }

  /** Goes on with a text in either way. */
  protected override async answerText(request: CompletionCreateParams): Promise<MlcTextAnswer> {
    if (request.stream) return this.#stream<Completion>('completionStreamInit', request);
    return this.#request('completionNonStreaming', { request, ...this.#expected() });
  }

  /** Embeddings, of web-llm's models that make them. */
  override embedding(request: EmbeddingCreateParams): Promise<CreateEmbeddingResponse> {
    return this.#request('embedding', { request, ...this.#expected() });
  }

  /** Resumable generations; only models of web-llm have any. */
  listResumableSessions(): Promise<ResumeProbeResult[]> {
    return this.#request('listResumableSessions');
  }

  /** Goes on with a resumable generation of a web-llm model. */
  resumeChatCompletion(
    sessionId: string,
    options?: ResumeChatCompletionOptions,
  ): Promise<ResumeResult | AsyncIterable<ChatCompletionChunk>> {
    return this.#request('resumeChatCompletion', { sessionId, options });
  }

  /** Deletes a resumable generation of a web-llm model. */
  deleteResumableSession(sessionId: string): Promise<void> {
    return this.#request('deleteResumableSession', { sessionId });
  }

  runtimeStatsText(modelId?: string): Promise<string> {
    return this.#request('runtimeStatsText', { modelId });
  }

  interruptGenerate(): void {
    void this.#request('interruptGenerate').catch(() => {});
  }

  async unload(): Promise<void> {
    this.modelId = undefined;
    this.chatOpts = undefined;
    await this.#request('unload');
  }

  resetChat(keepStats = false, modelId?: string): Promise<void> {
    return this.#request('resetChat', { keepStats, modelId });
  }

  getMessage(modelId?: string): Promise<string> {
    return this.#request('getMessage', { modelId });
  }

  getMaxStorageBufferBindingSize(): Promise<number> {
    return this.#request('getMaxStorageBufferBindingSize');
  }

  getGPUVendor(): Promise<string> {
    return this.#request('getGPUVendor');
  }

  forwardTokensAndSample(inputIds: number[], isPrefill: boolean, modelId?: string): Promise<number> {
    return this.#request('forwardTokensAndSample', { inputIds, isPrefill, modelId });
  }

  /** Takes an answer of the handler. */
  onmessage(event: MessageEvent<MlcWorkerResponse>): void {
    const { kind, uuid, content, error } = event.data;
    if (kind === 'initProgressCallback') {
      this.onProgress?.(content as InitProgressReport);
      return;
    }
    const waiting = this.#waiting.get(uuid);
    this.#waiting.delete(uuid);
    if (kind === 'return') waiting?.resolve(content as never);
    if (kind === 'throw') waiting?.reject(error ? AutoglmError.fromJSON(error) : new Error(String(content)));
  }

  #expected(): { modelId: string[]; chatOpts?: ChatOptions[] } {
    if (this.modelId) return { modelId: this.modelId, ...(this.chatOpts && { chatOpts: this.chatOpts }) };
    throw new AutoglmError('engine-unloaded', 'No model is loaded.', { cure: 'Call reload(modelId).' });
  }

  /** Sends what is not answered. */
  #tell(kind: string, content: unknown): void {
    this.worker.postMessage({ kind, uuid: crypto.randomUUID(), content });
  }

  #request<T>(kind: string, content: unknown = null): Promise<T> {
    const uuid = crypto.randomUUID();
    return new Promise<T>((resolve, reject) => {
      this.#waiting.set(uuid, { resolve: resolve as Waiting['resolve'], reject });
      this.worker.postMessage({ kind, uuid, content });
    });
  }

  async #stream<Chunk>(kind: string, request: object): Promise<AsyncIterable<Chunk>> {
    const streamId = crypto.randomUUID();
    const expected = this.#expected();
    const selectedModelId = expected.modelId[0];
    await this.#request(kind, { request, selectedModelId, streamId, ...expected });
    return this.#pull<Chunk>(streamId);
  }

  async *#pull<Chunk>(streamId: string): AsyncGenerator<Chunk, void, void> {
    let isRunning = true;
    try {
      for (;;) {
        const chunk = await this.#request<Chunk | undefined>('completionStreamNextChunk', { streamId });
        if (chunk === undefined) break;
        yield chunk;
      }
      isRunning = false;
    } catch (error) {
      isRunning = false;
      throw error;
    } finally {
      // The reader left the loop: the worker stops.
      if (isRunning) await this.#request('completionStreamReturn', { streamId });
    }
  }
}

/** Creates an engine whose handler runs in a worker, and loads a model: web-llm's function of this name. */
export async function CreateWebWorkerMLCEngine(
  // Web-llm's own type: whatever has the two members of a worker.
  worker: unknown,
  modelId: string | string[],
  engineConfig?: MLCEngineConfig,
  chatOpts?: ChatOptions | ChatOptions[],
): Promise<WebWorkerMLCEngine> {
  const engine = new WebWorkerMLCEngine(worker as ChatWorker, engineConfig);
  await engine.reload(modelId, chatOpts);
  return engine;
}
