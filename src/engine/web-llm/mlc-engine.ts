import type {
  AppConfig,
  ChatCompletionChunk,
  ChatCompletionMessageParam,
  ChatCompletionRequest,
  ChatOptions,
  CompletionCreateParams,
  CreateEmbeddingResponse,
  EmbeddingCreateParams,
  LogitProcessor,
  LogLevel,
  MLCEngineConfig,
  MLCEngineInterface,
  ResumeChatCompletionOptions,
  ResumeProbeResult,
  ResumeResult,
} from '@mlc-ai/web-llm';
import { AutoglmError, isAbortError } from '../../base/errors.ts';
import { SMALLEST_CONTEXT } from '../../model/model-fit.ts';
import type { Engine } from '../engine.ts';
import type { EngineOptions } from '../engine-options.ts';
import { findRecord, isAutoglm, prebuiltAppConfig } from './app-config.ts';
import {
  assembleChat,
  assembleText,
  notResumable,
  toChatRequest,
  toMlcChunk,
  toMlcCompletion,
  toProgressReport,
  toTextRequest,
  WholeCalls,
} from './convert.ts';
import { loadOriginal } from './load-original.ts';
import { MlcInterface, type MlcChatAnswer, type MlcTextAnswer } from './mlc-interface.ts';
import { toAbsoluteUrl, toCacheKind } from './model-cache.ts';

/** Opens this package's engine; in this thread where a logit processor is to reach its logits. */
export type OpenAutoglmEngine = (options: EngineOptions, inThisThread: boolean) => Promise<Engine>;

/** A loaded AutoGLM model and what was asked of it. */
interface Loaded {
  readonly engine: Engine;
  readonly modelId: string;
  readonly chatOptions: ChatOptions | undefined;
  readonly processor: LogitProcessor | undefined;
}

/**
 * Web-llm's `MLCEngine` over this package's engine. AutoGLM models run on it; any other model of web-llm runs on
 * web-llm itself, which is loaded only then.
 */
export class MLCEngine extends MlcInterface implements MLCEngineInterface {
  #open: OpenAutoglmEngine = openByPlace;
  #appConfig: AppConfig;
  #logitProcessors: Map<string, LogitProcessor> | undefined;
  #logLevel: LogLevel | undefined;
  #loaded: Loaded | undefined;
  /** Web-llm's own engine, for its own models. */
  #mlc: MLCEngineInterface | undefined;
  #loading: AbortController | undefined;
  #interrupt = new AbortController();
  /** The newest answer so far. */
  #message = { text: '' };
  /** Tokens a second of the last answer; absent before one. */
  #speeds: { readonly prefill: number; readonly decode: number } | undefined;
  /** What was asked last, for a logit processor. */
  #conversation: readonly ChatCompletionMessageParam[] = [];
  /** What `forwardTokensAndSample` has taken in so far. */
  #tokens: number[] = [];

  constructor(engineConfig: MLCEngineConfig = {}) {
    super(engineConfig.initProgressCallback);
    this.#appConfig = engineConfig.appConfig ?? prebuiltAppConfig;
    this.#logitProcessors = engineConfig.logitProcessorRegistry;
    this.#logLevel = engineConfig.logLevel;
  }

  /** An engine that opens its AutoGLM models in another way, such as on the linked helper alone. */
  static withOpener(open: OpenAutoglmEngine, engineConfig: MLCEngineConfig = {}): MLCEngine {
    const engine = new MLCEngine(engineConfig);
    engine.#open = open;
    return engine;
  }

  /** Sets the models that can be loaded. */
  setAppConfig(appConfig: AppConfig): void {
    this.#appConfig = appConfig;
    this.#mlc?.setAppConfig(appConfig);
  }

  /** Sets processors of logits by model id, for the next `reload`. */
  setLogitProcessorRegistry(logitProcessorRegistry?: Map<string, LogitProcessor>): void {
    this.#logitProcessors = logitProcessorRegistry;
  }

  setLogLevel(logLevel: LogLevel): void {
    this.#logLevel = logLevel;
    this.#mlc?.setLogLevel(logLevel);
  }

  /** Loads a model in place of the last one; a load that is under way ends. */
  async reload(modelId: string | string[], chatOpts?: ChatOptions | ChatOptions[]): Promise<void> {
    this.#loading?.abort();
    const loading = new AbortController();
    this.#loading = loading;
    try {
      await this.#free();
      loading.signal.throwIfAborted();
      await this.#load(modelId, chatOpts, loading.signal);
    } finally {
      if (this.#loading === loading) this.#loading = undefined;
    }
  }

  async #load(
    modelId: string | string[],
    chatOpts: ChatOptions | ChatOptions[] | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const ids = Array.isArray(modelId) ? modelId : [modelId];
    const records = ids.map((id) => findRecord(id, this.#appConfig));
    const [record] = records;
    if (!record || !records.some(isAutoglm)) return this.#loadMlc(ids, chatOpts, signal);
    if (records.length > 1) {
      throw new AutoglmError('request-invalid', 'AutoGLM cannot share an engine with other models.', {
        value: ids.join(', '),
        limit: 'one model',
        param: 'modelId',
        cure: 'Create an engine for each.',
      });
    }
    if (record.integrity) {
      throw new AutoglmError(
        'request-invalid',
        'AutoGLM’s files are checked by the hashes in their manifest.',
        {
          value: Object.keys(record.integrity).join(', '),
          limit: 'a record without "integrity"',
          param: 'appConfig.model_list.integrity',
          fieldFault: 'unsupported',
          cure: 'Leave "integrity" out of the record.',
        },
      );
    }
    const chatOptions = Array.isArray(chatOpts) ? chatOpts[0] : chatOpts;
    const processor = this.#logitProcessors?.get(record.model_id);
    const startedAt = performance.now();
    const contextWindow = chatOptions?.context_window_size ?? record.overrides?.context_window_size;
    const options: EngineOptions = {
      model: toAbsoluteUrl(record.model),
      // The default is left out: pages that name it and those that do not share one engine.
      ...(toCacheKind(this.#appConfig) === 'opfs' && { cache: 'opfs' as const }),
      // A program may ask for the window of the model that it was written for.
      ...(contextWindow !== undefined && { contextWindow, smallestContextWindow: SMALLEST_CONTEXT }),
      signal,
      onProgress: (progress) => this.onProgress?.(toProgressReport(progress, startedAt)),
    };
    const engine = await this.#open(options, processor !== undefined);
    if (processor) await setProcessor(engine, processor);
    this.#loaded = {
      engine,
      modelId: record.model_id,
      processor,
      chatOptions: { ...record.overrides, ...chatOptions },
    };
  }

  /** Answers a conversation in either way. */
  protected override async answerChat(request: ChatCompletionRequest): Promise<MlcChatAnswer> {
    if (this.#mlc) return this.#mlc.chatCompletion(request);
    const { engine, chatOptions, processor } = this.#requireLoaded(request.model);
    const converted = toChatRequest(request, chatOptions, engine.info);
    if (processor) this.#beginConversation(processor, request.messages);
    const startedAt = performance.now();
    const includesUsage = !request.stream || request.stream_options?.include_usage === true;
    const { signal } = this.#interrupt;
    // Whole answers are streamed as well: an interrupted one is what there is of it.
    const chunks = await engine.chat.completions.create(
      { ...converted, stream: true, stream_options: { include_usage: true } },
      { signal },
    );
    const calls = new WholeCalls();
    const stream = this.#follow(chunks, {
      signal,
      toOwn: (chunk) => {
        this.#noteUsage(chunk.usage);
        return chunk.usage && !includesUsage ? undefined : calls.hold(toMlcChunk(chunk, startedAt));
      },
      textOf: ({ choices: [choice] }) => (choice?.index === 0 ? (choice.delta.content ?? '') : ''),
      toAborted: (last, index) => ({
        ...last,
        choices: [{ index, delta: {}, finish_reason: 'abort' as const }],
      }),
    });
    return request.stream ? stream : assembleChat(stream);
  }

  /** Goes on with a text in either way. */
  protected override async answerText(request: CompletionCreateParams): Promise<MlcTextAnswer> {
    if (this.#mlc) return this.#mlc.completion(request);
    const { engine, chatOptions, processor } = this.#requireLoaded(request.model);
    if (processor) this.#beginConversation(processor, []);
    const converted = toTextRequest(request, chatOptions, engine.info);
    const startedAt = performance.now();
    const includesUsage = !request.stream || request.stream_options?.include_usage === true;
    const { signal } = this.#interrupt;
    const chunks = await engine.completions.create(
      { ...converted, stream: true, stream_options: { include_usage: true } },
      { signal },
    );
    const stream = this.#follow(chunks, {
      signal,
      toOwn: (chunk) => {
        this.#noteUsage(chunk.usage);
        return chunk.usage && !includesUsage ? undefined : toMlcCompletion(chunk, startedAt);
      },
      textOf: ({ choices: [choice] }) => (choice?.index === 0 ? choice.text : ''),
      toAborted: (last, index) => ({
        ...last,
        choices: [{ index, text: '', finish_reason: 'abort' as const }],
      }),
    });
    return request.stream ? stream : assembleText(stream);
  }

  /** Web-llm's own embedding models only. */
  override async embedding(request: EmbeddingCreateParams): Promise<CreateEmbeddingResponse> {
    if (this.#mlc) return this.#mlc.embedding(request);
    const { modelId } = this.#requireLoaded(request.model);
    throw new AutoglmError('request-invalid', `"${modelId}" makes no embeddings.`, {
      value: modelId,
      limit: 'an embedding model',
      param: 'model',
      fieldFault: 'unsupported',
      cure: 'Load one of web-llm’s embedding models.',
    });
  }

  /** Resumable generations; only models of web-llm have any. */
  async listResumableSessions(): Promise<ResumeProbeResult[]> {
    return this.#mlc ? this.#mlc.listResumableSessions() : [];
  }

  /** Goes on with a resumable generation of a web-llm model. */
  async resumeChatCompletion(
    sessionId: string,
    options?: ResumeChatCompletionOptions,
  ): Promise<ResumeResult | AsyncIterable<ChatCompletionChunk>> {
    if (this.#mlc) return this.#mlc.resumeChatCompletion(sessionId, options);
    throw notResumable();
  }

  /** Deletes a resumable generation of a web-llm model. */
  async deleteResumableSession(sessionId: string): Promise<void> {
    await this.#mlc?.deleteResumableSession(sessionId);
  }

  /** Speed of the last answer, in words. */
  async runtimeStatsText(modelId?: string): Promise<string> {
    if (this.#mlc) return this.#mlc.runtimeStatsText(modelId);
    if (!this.#speeds) return '';
    const { prefill, decode } = this.#speeds;
    return `prefill: ${prefill.toFixed(4)} tokens/sec, decoding: ${decode.toFixed(4)} tokens/sec`;
  }

  /** Ends all answers; each keeps what it has, with the reason `abort`. */
  async interruptGenerate(): Promise<void> {
    this.#mlc?.interruptGenerate();
    this.#interrupt.abort(new DOMException('The answer was interrupted.', 'AbortError'));
    this.#interrupt = new AbortController();
  }

  async unload(): Promise<void> {
    this.#loading?.abort();
    await this.#free();
  }

  /** Frees what is loaded, with what runs on it. */
  async #free(): Promise<void> {
    await this.interruptGenerate();
    const { engine } = this.#loaded ?? {};
    const mlc = this.#mlc;
    this.#loaded = undefined;
    this.#mlc = undefined;
    this.#tokens = [];
    await engine?.unload();
    await mlc?.unload();
  }

  /** Forgets the last answer; conversations are told in every request and need no reset. */
  async resetChat(keepStats = false, modelId?: string): Promise<void> {
    await this.#mlc?.resetChat(keepStats, modelId);
    this.#message = { text: '' };
    this.#tokens = [];
    this.#loaded?.processor?.resetState();
    if (!keepStats) this.#speeds = undefined;
  }

  /** Text of the last answer, also of one that is being given. */
  async getMessage(modelId?: string): Promise<string> {
    return this.#mlc ? this.#mlc.getMessage(modelId) : this.#message.text;
  }

  async getMaxStorageBufferBindingSize(): Promise<number> {
    const adapter = await requestAdapter();
    return adapter.limits.maxStorageBufferBindingSize;
  }

  async getGPUVendor(): Promise<string> {
    return (await requestAdapter()).info.vendor;
  }

  /** Takes tokens in and gives the most likely next one. */
  async forwardTokensAndSample(inputIds: number[], isPrefill: boolean, modelId?: string): Promise<number> {
    if (this.#mlc) return this.#mlc.forwardTokensAndSample(inputIds, isPrefill, modelId);
    const { engine } = this.#requireLoaded(modelId);
    this.#tokens.push(...inputIds);
    const startedAt = performance.now();
    const { choices } = await engine.completions.create({
      prompt: this.#tokens,
      max_tokens: 1,
      temperature: 0,
      ignore_eos: true,
      logprobs: 0,
    });
    const speed = (inputIds.length * 1000) / Math.max(performance.now() - startedAt, 1e-3);
    const { prefill = 0, decode = 0 } = this.#speeds ?? {};
    this.#speeds = isPrefill ? { prefill: speed, decode } : { prefill, decode: speed };
    return choices[0]?.logprobs?.token_ids[0] as number;
  }

  async #loadMlc(
    ids: string[],
    chatOptions: ChatOptions | ChatOptions[] | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    this.#mlc = await loadOriginal(ids, {
      appConfig: this.#appConfig,
      chatOptions,
      logLevel: this.#logLevel,
      logitProcessors: this.#logitProcessors,
      onProgress: (report) => this.onProgress?.(report),
      signal,
    });
  }

  /** Passes chunks on until the answer is interrupted; then each choice that still runs ends with `abort`. */
  async *#follow<Chunk, Own extends { choices: { index: number; finish_reason: unknown }[] }>(
    chunks: AsyncIterable<Chunk>,
    {
      signal,
      toOwn,
      textOf,
      toAborted,
    }: {
      readonly signal: AbortSignal;
      readonly toOwn: (chunk: Chunk) => Own | undefined;
      readonly textOf: (own: Own) => string;
      readonly toAborted: (last: Own, index: number) => Own;
    },
  ): AsyncGenerator<Own, void, void> {
    const running = new Set<number>();
    let last: Own | undefined;
    const message = { text: '' };
    this.#message = message;
    try {
      for await (const chunk of chunks) {
        const own = toOwn(chunk);
        if (!own) continue;
        for (const { index, finish_reason: finish } of own.choices) {
          if (finish) running.delete(index);
          else running.add(index);
        }
        message.text += textOf(own);
        last = own;
        yield own;
      }
    } catch (error) {
      if (!isAbortError(error) || !signal.aborted || !last) throw error;
      for (const index of running) yield toAborted(last, index);
    }
  }

  /** A processor keeps its state while a conversation goes on, and begins anew with another, as in web-llm. */
  #beginConversation(processor: LogitProcessor, messages: readonly ChatCompletionMessageParam[]): void {
    const before = this.#conversation;
    const goesOn =
      before.length > 0 &&
      messages.length > before.length &&
      before.every((message, index) => JSON.stringify(message) === JSON.stringify(messages[index]));
    if (!goesOn) processor.resetState();
    this.#conversation = messages;
  }

  #noteUsage(usage: Parameters<typeof toMlcChunk>[0]['usage']): void {
    if (!usage) return;
    const { extra, prompt_tokens: prompt } = usage;
    const prefillSeconds = (extra?.prefillMs ?? 0) / 1000;
    this.#speeds = {
      prefill: prefillSeconds > 0 ? prompt / prefillSeconds : 0,
      decode: extra?.decodeTokensPerSecond ?? 0,
    };
  }

  #requireLoaded(modelId: string | null | undefined): Loaded {
    const loaded = this.#loaded;
    if (!loaded) {
      throw new AutoglmError('engine-unloaded', 'No model is loaded.', {
        cure: 'Call reload(modelId), or create the engine with CreateMLCEngine.',
      });
    }
    if (modelId === undefined || modelId === null || modelId === loaded.modelId) return loaded;
    throw new AutoglmError('model-unknown', `The model "${modelId}" is not loaded.`, {
      value: modelId,
      limit: loaded.modelId,
      param: 'model',
      cure: `Ask for "${loaded.modelId}", or leave "model" out.`,
    });
  }
}

/** In a page the model runs in a worker of its own; a worker holds it itself, and a service worker can have no other. */
const openByPlace: OpenAutoglmEngine = async (options, inThisThread) => {
  if (typeof document !== 'undefined' && !inThisThread)
    return (await import('../create-engine.ts')).createEngine(options);
  const { openEngineHere } = await import('./open-here.ts');
  return openEngineHere(options);
};

async function setProcessor(engine: Engine, processor: LogitProcessor): Promise<void> {
  if (engine.setLogitProcessor) return engine.setLogitProcessor(processor);
  await engine.unload();
  throw new AutoglmError('request-invalid', 'No logit processor can reach the logits of this engine.', {
    value: engine.info.backend,
    limit: 'webgpu in this thread',
    param: 'logitProcessorRegistry',
    fieldFault: 'unsupported',
    cure: 'Use "logit_bias", a penalty, or "response_format" with a grammar.',
  });
}

async function requestAdapter(): Promise<GPUAdapter> {
  const adapter = await (globalThis.navigator as Navigator | undefined)?.gpu?.requestAdapter();
  if (adapter) return adapter;
  throw new AutoglmError('webgpu-unavailable', 'This browser offers no WebGPU adapter.', {
    cure: 'Use a browser with WebGPU, and switch hardware acceleration on.',
  });
}

/** Creates an engine and loads a model: web-llm's function of this name. */
export async function CreateMLCEngine(
  modelId: string | string[],
  engineConfig?: MLCEngineConfig,
  chatOpts?: ChatOptions | ChatOptions[],
): Promise<MLCEngine> {
  const engine = new MLCEngine(engineConfig);
  await engine.reload(modelId, chatOpts);
  return engine;
}
