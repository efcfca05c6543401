import type {
  AppConfig,
  ChatCompletionChunk,
  ChatCompletionRequest,
  ChatOptions,
  CompletionCreateParams,
  CreateEmbeddingResponse,
  EmbeddingCreateParams,
  LogitProcessor,
  LogLevel,
  MLCEngineConfig,
  MLCEngineInterface,
  ModelRecord,
  ResumeChatCompletionOptions,
  ResumeProbeResult,
  ResumeResult,
} from '@mlc-ai/web-llm';
import { AutoglmError } from '../../base/errors.ts';
import { SMALLEST_CONTEXT } from '../../model/model-fit.ts';
import type { Engine } from '../engine.ts';
import type { EngineOptions } from '../engine-options.ts';
import { findRecord, isAutoglm, prebuiltAppConfig } from './app-config.ts';
import { notResumable, toProgressReport } from './convert.ts';
import { LoadedModel } from './loaded-model.ts';
import { loadOriginal } from './load-original.ts';
import { MlcInterface, type MlcChatAnswer, type MlcTextAnswer } from './mlc-interface.ts';
import { toAbsoluteUrl, toCacheKind } from './model-cache.ts';

/** Opens this package's engine; in this thread where a logit processor is to reach its logits. */
export type OpenAutoglmEngine = (options: EngineOptions, inThisThread: boolean) => Promise<Engine>;

/**
 * Web-llm's `MLCEngine` over this package's engine. AutoGLM models run on it; any other model of web-llm runs on
 * web-llm itself, which is loaded only then.
 */
export class MLCEngine extends MlcInterface implements MLCEngineInterface {
  #open: OpenAutoglmEngine = openByPlace;
  #appConfig: AppConfig;
  #logitProcessors: Map<string, LogitProcessor> | undefined;
  #logLevel: LogLevel | undefined;
  /** AutoGLM's models, by id. */
  readonly #loaded = new Map<string, LoadedModel>();
  /** Web-llm's own engine, for its own models. */
  #mlc: { readonly engine: MLCEngineInterface; readonly modelIds: readonly string[] } | undefined;
  #loading: AbortController | undefined;
  #interrupt = new AbortController();

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
    this.#mlc?.engine.setAppConfig(appConfig);
  }

  /** Sets processors of logits by model id, for the next `reload`. */
  setLogitProcessorRegistry(logitProcessorRegistry?: Map<string, LogitProcessor>): void {
    this.#logitProcessors = logitProcessorRegistry;
  }

  setLogLevel(logLevel: LogLevel): void {
    this.#logLevel = logLevel;
    this.#mlc?.engine.setLogLevel(logLevel);
  }

  /** Loads models in place of the last ones; a load that is under way ends, as `unload` ends it: without an error. */
  async reload(modelId: string | string[], chatOpts?: ChatOptions | ChatOptions[]): Promise<void> {
    this.#loading?.abort();
    const loading = new AbortController();
    this.#loading = loading;
    try {
      await this.#free();
      loading.signal.throwIfAborted();
      await this.#load(modelId, chatOpts, loading.signal);
    } catch (error) {
      // Where one of several does not load, none stays.
      if (this.#loading === loading) await this.#free();
      if (!loading.signal.aborted) throw error;
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
    const options = ids.map((_, index) => (Array.isArray(chatOpts) ? chatOpts[index] : chatOpts));
    const records = ids.map((id) => findRecord(id, this.#appConfig));
    for (const [index, record] of records.entries()) {
      if (isAutoglm(record)) await this.#loadAutoglm(record, options[index], signal);
    }
    const mlcIds = ids.filter((_, index) => !isAutoglm(records[index] as ModelRecord));
    if (mlcIds.length === 0) return;
    const all = mlcIds.length === ids.length;
    const mlcOptions = options.filter((_, index) => !isAutoglm(records[index] as ModelRecord));
    const hasOptions = mlcOptions.every((one) => one !== undefined);
    await this.#loadMlc(mlcIds, all || !hasOptions ? chatOpts : mlcOptions, signal);
  }

  async #loadAutoglm(
    record: ModelRecord,
    chatOptions: ChatOptions | undefined,
    signal: AbortSignal,
  ): Promise<void> {
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
    if (signal.aborted) await engine.unload();
    signal.throwIfAborted();
    if (processor) await setProcessor(engine, processor);
    const loaded = {
      engine,
      modelId: record.model_id,
      processor,
      chatOptions: { ...record.overrides, ...chatOptions },
    };
    this.#loaded.set(record.model_id, new LoadedModel(loaded));
  }

  /** Answers a conversation in either way. */
  protected override async answerChat(request: ChatCompletionRequest): Promise<MlcChatAnswer> {
    const model = this.#find(request.model);
    if (!(model instanceof LoadedModel)) return model.chatCompletion(request);
    return model.answerChat(request, this.#interrupt.signal);
  }

  /** Goes on with a text in either way. */
  protected override async answerText(request: CompletionCreateParams): Promise<MlcTextAnswer> {
    const model = this.#find(request.model);
    if (!(model instanceof LoadedModel)) return model.completion(request);
    return model.answerText(request, this.#interrupt.signal);
  }

  /** Web-llm's own embedding models only. */
  override async embedding(request: EmbeddingCreateParams): Promise<CreateEmbeddingResponse> {
    const model = this.#find(request.model);
    if (!(model instanceof LoadedModel)) return model.embedding(request);
    const { modelId } = model;
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
    return this.#mlc ? this.#mlc.engine.listResumableSessions() : [];
  }

  /** Goes on with a resumable generation of a web-llm model. */
  async resumeChatCompletion(
    sessionId: string,
    options?: ResumeChatCompletionOptions,
  ): Promise<ResumeResult | AsyncIterable<ChatCompletionChunk>> {
    if (this.#mlc) return this.#mlc.engine.resumeChatCompletion(sessionId, options);
    throw notResumable();
  }

  /** Deletes a resumable generation of a web-llm model. */
  async deleteResumableSession(sessionId: string): Promise<void> {
    await this.#mlc?.engine.deleteResumableSession(sessionId);
  }

  /** Speed of the last answer, in words. */
  async runtimeStatsText(modelId?: string): Promise<string> {
    const model = this.#findIfAny(modelId);
    return model instanceof LoadedModel ? model.statsText : (model?.runtimeStatsText(modelId) ?? '');
  }

  /** Ends all answers; each keeps what it has, with the reason `abort`. */
  async interruptGenerate(): Promise<void> {
    this.#mlc?.engine.interruptGenerate();
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
    const models = [...this.#loaded.values()];
    const mlc = this.#mlc;
    this.#loaded.clear();
    this.#mlc = undefined;
    for (const { engine } of models) await engine.unload();
    await mlc?.engine.unload();
  }

  /** Forgets the last answer; conversations are told in every request and need no reset. */
  async resetChat(keepStats = false, modelId?: string): Promise<void> {
    const model = this.#findIfAny(modelId);
    if (model instanceof LoadedModel) model.reset(keepStats);
    else await model?.resetChat(keepStats, modelId);
  }

  /** Text of the last answer, also of one that is being given. */
  async getMessage(modelId?: string): Promise<string> {
    const model = this.#findIfAny(modelId);
    return model instanceof LoadedModel ? model.message : (model?.getMessage(modelId) ?? '');
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
    const model = this.#find(modelId);
    if (model instanceof LoadedModel) return model.forward(inputIds, isPrefill);
    return model.forwardTokensAndSample(inputIds, isPrefill, modelId);
  }

  async #loadMlc(
    ids: string[],
    chatOptions: ChatOptions | ChatOptions[] | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const engine = await loadOriginal(ids, {
      appConfig: this.#appConfig,
      chatOptions,
      logLevel: this.#logLevel,
      logitProcessors: this.#logitProcessors,
      onProgress: (report) => this.onProgress?.(report),
      signal,
    });
    this.#mlc = { engine, modelIds: ids };
  }

  /** The model of this id, or the only one. */
  #find(modelId: string | null | undefined): LoadedModel | MLCEngineInterface {
    const model = this.#findIfAny(modelId);
    if (model) return model;
    throw new AutoglmError('engine-unloaded', 'No model is loaded.', {
      cure: 'Call reload(modelId), or create the engine with CreateMLCEngine.',
    });
  }

  #findIfAny(modelId: string | null | undefined): LoadedModel | MLCEngineInterface | undefined {
    const ids = [...this.#loaded.keys(), ...(this.#mlc?.modelIds ?? [])];
    const [only] = ids;
    // Web-llm tells by itself which of its own it means.
    if (this.#loaded.size === 0) return this.#mlc?.engine;
    if (modelId === undefined || modelId === null ? ids.length > 1 : !ids.includes(modelId)) {
      throw new AutoglmError(
        'model-unknown',
        typeof modelId === 'string' ? `The model "${modelId}" is not loaded.` : 'Several models are loaded.',
        {
          value: modelId,
          limit: ids.join(', '),
          param: 'model',
          cure: ids.length > 1 ? 'Name one of them.' : `Ask for "${only}", or leave "model" out.`,
        },
      );
    }
    return this.#loaded.get(modelId ?? (only as string)) ?? this.#mlc?.engine;
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
