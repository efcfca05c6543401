import { AutoglmError } from '../base/errors.ts';
import { describeAdapter } from '../gpu/capabilities.ts';
import type { Device } from '../gpu/device.ts';
import type { DecodeImage } from '../image/decode-image.ts';
import type { CacheFormat } from '../kernels/kernel.ts';
import { generate } from '../model/generate.ts';
import { LanguageModel } from '../model/language-model.ts';
import { MAX_RANKED } from '../model/logprob-ranker.ts';
import { MAX_COLUMNS } from '../model/text-buffers.ts';
import type { RankedToken } from '../model/ranked-token.ts';
import type { ImageRun } from '../model/text-model.ts';
import type { SamplerState } from '../model/token-sampler.ts';
import {
  encodeLogitBias,
  encodePromptCounts,
  encodeSettings,
  hasPenalties,
} from '../sampling/encode-settings.ts';
import { parseStop } from '../sampling/parse-stop.ts';
import { parseSampling, type SamplerSettings } from '../sampling/settings.ts';
import { StopStrings } from '../sampling/stop-strings.ts';
import { openModel, type OpenModelOptions } from '../storage/model-loader.ts';
import type { ShardSource } from '../storage/shard-source.ts';
import { StreamDecoder } from '../tokenizer/stream-decoder.ts';
import type { AnswerCallOptions, AnswerEngine, AnswerOptions, AnswerSummary, AnswerToken } from './answer.ts';
import { ChatCompletionService } from './chat-completions.ts';
import { PromptBuilder, type Prompt } from './chat-prompt.ts';
import { CompletionStream } from './completion-stream.ts';
import type {
  CallOptions,
  ChatCompletions,
  Engine,
  EngineInfo,
  EngineStats,
  LoadProgress,
} from './engine.ts';
import { ImageFeatures } from './image-features.ts';
import { readModelTexts, type ModelTexts } from './model-texts.ts';
import { PrefixCache } from './prefix-cache.ts';
import { TurnQueue } from './turn-queue.ts';

/** What a local engine is made of. */
export interface LocalEngineOptions extends Pick<OpenModelOptions, 'cache' | 'verify' | 'createSha256'> {
  readonly source: ShardSource;
  /** The engine owns it from now on. */
  readonly device: Device;
  readonly decodeImage: DecodeImage;
  /** Tokens; default: what the model allows, at most `DEFAULT_CONTEXT_WINDOW`. */
  readonly contextWindow?: number | undefined;
  /** Number format of the KV cache; default f16, or f32 for a model in f32. */
  readonly cacheFormat?: CacheFormat | undefined;
  /** Sequences that the KV cache holds side by side; 1. */
  readonly slots?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: LoadProgress) => void) | undefined;
}

/** Context window when nobody asks for one: long enough for some agent steps, small enough for most cards. */
export const DEFAULT_CONTEXT_WINDOW = 8192;

/** Decode steps in flight on a GPU: enough to hide the way back of an id. Software computes too slowly to need it. */
const STEPS_IN_FLIGHT = 4;

/** An engine that runs the model on a device of this process or worker. */
export class LocalEngine implements Engine, AnswerEngine {
  readonly info: EngineInfo;
  readonly chat: { readonly completions: ChatCompletions };
  readonly prompts: PromptBuilder;
  readonly texts: ModelTexts;
  readonly model: LanguageModel;
  readonly #device: Device;
  readonly #features: ImageFeatures;
  readonly #prefix = new PrefixCache();
  readonly #turns = new TurnQueue();
  /** Aborts what runs or waits when the engine is unloaded. */
  readonly #unloading = new AbortController();

  constructor(parts: {
    model: LanguageModel;
    texts: ModelTexts;
    info: EngineInfo;
    decodeImage: DecodeImage;
  }) {
    this.model = parts.model;
    this.texts = parts.texts;
    this.info = parts.info;
    this.#device = parts.model.device;
    this.#features = new ImageFeatures(parts.model);
    this.prompts = new PromptBuilder({ ...parts.texts, decodeImage: parts.decodeImage });
    this.chat = { completions: new ChatCompletionService(this) };
  }

  /**
   * Reads a model folder, streams its weights to the device and compiles. When it fails, the device is
   * destroyed and nothing stays behind.
   *
   * @throws AutoglmError of the source, the model or the device; the signal's `AbortError`
   */
  static async load(options: LocalEngineOptions): Promise<LocalEngine> {
    const { device } = options;
    try {
      return await loadEngine(options);
    } catch (error) {
      device.destroy();
      throw error;
    }
  }

  /** Rejects when the device is lost, with the `device-lost` error. */
  get lost(): Promise<AutoglmError> {
    return this.#device.lost;
  }

  /**
   * Generates the answer to a prompt; returns its summary. One answer runs at a time, in the order of asking.
   * Leaving the loop early stops the work.
   *
   * @throws AutoglmError `request-invalid`, `prompt-too-long`, `device-lost`, `engine-unloaded`; the signal's `AbortError`
   */
  async *answer(
    prompt: Prompt,
    options: AnswerOptions,
    callOptions: AnswerCallOptions = {},
  ): AsyncGenerator<AnswerToken, AnswerSummary> {
    const signal = this.#combine(callOptions.signal);
    const settings = this.#parseSettings(options);
    this.model.text.requireFits(prompt.tokenIds.length);
    const leave = await this.#turns.enter(signal);
    try {
      return yield* this.#generate(prompt, settings, options, { ...callOptions, signal });
    } finally {
      leave();
    }
  }

  /**
   * The K most likely continuations of every position of a prompt, by the raw logits; K is 1 to `MAX_RANKED`.
   *
   * @throws as `answer` does
   */
  async rankPrompt(prompt: Prompt, K: number, callOptions: CallOptions = {}): Promise<RankedToken[][]> {
    const signal = this.#combine(callOptions.signal);
    requireRankCount(K);
    this.model.text.requireFits(prompt.tokenIds.length);
    const leave = await this.#turns.enter(signal);
    try {
      const { text, ranker } = this.model;
      const images = await this.#encodeImages(prompt, 0, signal);
      const ranked: RankedToken[][] = [];
      this.#prefix.truncate(0);
      const sequence = { tokenIds: prompt.tokenIds, positions: prompt.positions, images };
      await text.prefill(sequence, {
        slot: 0,
        cachedCount: 0,
        signal,
        afterChunk: async (from, to) => {
          for (let first = 0; first < to - from; first += MAX_COLUMNS) {
            const count = Math.min(MAX_COLUMNS, to - from - first);
            await text.computeLogits(Array.from({ length: count }, (_, row) => first + row));
            ranked.push(...(await ranker.rankRows(count, K)));
          }
          this.#prefix.store(prompt, to);
        },
      });
      return ranked;
    } finally {
      leave();
    }
  }

  stats(): EngineStats {
    return {
      gpuBytes: this.#device.allocatedBytes,
      cacheTokens: this.#prefix.length,
      cacheCapacity: this.info.contextWindow * this.model.options.slots,
    };
  }

  async unload(): Promise<void> {
    if (this.#unloading.signal.aborted) return;
    this.#unloading.abort(
      new AutoglmError('engine-unloaded', 'This engine was unloaded.', { cure: 'Create a new one.' }),
    );
    const leave = await this.#turns.enter();
    this.#features.destroy();
    this.model.destroy();
    this.#device.destroy();
    leave();
  }

  async *#generate(
    prompt: Prompt,
    settings: SamplerSettings,
    options: AnswerOptions,
    { signal, constraint }: AnswerCallOptions & { readonly signal: AbortSignal },
  ): AsyncGenerator<AnswerToken, AnswerSummary> {
    const startedAt = performance.now();
    const cachedTokens = this.#prefix.match(prompt);
    const images = await this.#encodeImages(prompt, cachedTokens, signal);
    const encodedAt = performance.now();
    this.#prefix.truncate(cachedTokens);
    const maxTokens = this.#maxTokens(options, prompt);
    const completion = this.#startCompletion(options, maxTokens);
    const ids: number[] = [];
    let prefilledAt = encodedAt;
    let firstTokenAt = 0;
    const tokens = generate(this.model, {
      slot: 0,
      sequence: { tokenIds: prompt.tokenIds, positions: prompt.positions, images },
      ropeDelta: prompt.ropeDelta,
      cachedCount: cachedTokens,
      sampler: this.#encodeSampler(settings, prompt, constraint !== undefined),
      maxTokens,
      topCount: settings.topLogprobs,
      stepsInFlight: this.info.isSoftware ? 1 : STEPS_IN_FLIGHT,
      constraint,
      signal,
      afterChunk: async (_, to) => {
        // Noted chunk by chunk: what an aborted prefill computed is not computed again.
        this.#prefix.store(prompt, to);
        prefilledAt = performance.now();
      },
    });
    for await (const { id, logprob, top } of tokens) {
      firstTokenAt ||= performance.now();
      // The step that computed this token had taken in all earlier ones.
      this.#prefix.store(prompt, prompt.tokenIds.length, ids);
      ids.push(id);
      const step = completion.push(id);
      yield { id, ...step, ...(settings.logprobs && { logprob }), ...(top && { top }) };
      if (step.finishReason) break;
    }
    const decodeMs = performance.now() - firstTokenAt;
    return {
      promptTokens: prompt.tokenIds.length,
      cachedTokens,
      completionTokens: ids.length,
      timings: {
        visionMs: encodedAt - startedAt,
        prefillMs: prefilledAt - encodedAt,
        timeToFirstTokenMs: firstTokenAt - startedAt,
        decodeMs,
        decodeTokensPerSecond: ids.length > 1 ? ((ids.length - 1) * 1000) / decodeMs : 0,
      },
    };
  }

  /** Features of the images that are not wholly in the KV cache. */
  async #encodeImages(prompt: Prompt, cachedTokens: number, signal: AbortSignal): Promise<ImageRun[]> {
    const needed = prompt.images.filter(({ image, start }) => start + image.tokenCount > cachedTokens);
    const runs: ImageRun[] = [];
    for (const { image, start } of needed) {
      runs.push({ start, count: image.tokenCount, features: await this.#features.get(image, signal) });
    }
    this.#features.trim(new Set(needed.map(({ image }) => image.contentHash)));
    return runs;
  }

  #startCompletion(options: AnswerOptions, maxTokens: number): CompletionStream {
    const { tokenizer, config, generation } = this.texts;
    const eosTokenIds = options.ignore_eos ? [] : [...config.eosTokenIds, ...generation.eosTokenIds];
    return new CompletionStream({
      decoder: tokenizer && new StreamDecoder(tokenizer, { skipSpecialTokens: true }),
      stops: new StopStrings(parseStop(options.stop)),
      eosTokenIds: new Set(eosTokenIds),
      maxTokens,
    });
  }

  #parseSettings(options: AnswerOptions): SamplerSettings {
    parseStop(options.stop);
    const { max_tokens: maxTokens } = options;
    if (maxTokens !== undefined && !(Number.isInteger(maxTokens) && maxTokens > 0)) {
      throw new AutoglmError(
        'request-invalid',
        `Cannot generate "max_tokens" = ${String(maxTokens)} tokens.`,
        {
          value: maxTokens,
          limit: 'an integer above 0',
          cure: 'Correct "max_tokens", or leave it out.',
        },
      );
    }
    return parseSampling(options, {
      defaults: this.texts.generation,
      vocabularySize: this.#vocabularySize(),
    });
  }

  #maxTokens({ max_tokens: maxTokens }: AnswerOptions, prompt: Prompt): number {
    const room = this.info.contextWindow - prompt.tokenIds.length + 1;
    return Math.min(maxTokens ?? room, room);
  }

  #encodeSampler(settings: SamplerSettings, prompt: Prompt, hasMask: boolean): SamplerState {
    const { V } = this.texts.config.text;
    return {
      settings: encodeSettings(settings, { vocabularySize: this.#vocabularySize(), hasMask }),
      bias: settings.logitBias.size > 0 ? encodeLogitBias(settings.logitBias, V) : undefined,
      counts: hasPenalties(settings) ? encodePromptCounts(prompt.tokenIds, V) : undefined,
    };
  }

  /** Ids beyond the tokenizer's are padding rows of the head; a model without a tokenizer uses all. */
  #vocabularySize(): number {
    const { config, tokenizer } = this.texts;
    return tokenizer ? Math.min(tokenizer.vocabSize, config.text.V) : config.text.V;
  }

  /** Fires with the caller's signal, or when the engine is unloaded. @throws its reason when it already has */
  #combine(signal: AbortSignal | undefined): AbortSignal {
    const unloading = this.#unloading.signal;
    unloading.throwIfAborted();
    return signal ? AbortSignal.any([unloading, signal]) : unloading;
  }
}

async function loadEngine(options: LocalEngineOptions): Promise<LocalEngine> {
  const { source, device, decodeImage, signal, onProgress } = options;
  const report = (progress: Omit<LoadProgress, 'bytesPerSecond'>): void =>
    onProgress?.({ ...progress, bytesPerSecond: 0 });
  report({ phase: 'checking', loadedBytes: 0, totalBytes: 0 });
  const files = await openModel(source, {
    cache: options.cache,
    verify: options.verify,
    createSha256: options.createSha256,
    ...(signal && { signal }),
  });
  const { manifest } = files;
  const texts = await readModelTexts(files, signal);
  const { maxPositionEmbeddings } = texts.config.text;
  const contextWindow = requireContext(options.contextWindow, maxPositionEmbeddings);
  const bytes = { loadedBytes: manifest.byteLength, totalBytes: manifest.byteLength };
  const isFloat32 = manifest.quantization === 'q0f32';
  const model = await LanguageModel.load(device, {
    config: texts.config,
    tensors: manifest.tensors,
    context: contextWindow,
    slots: options.slots ?? 1,
    cacheFormat: options.cacheFormat ?? (isFloat32 ? 'f32' : 'f16'),
    signal,
    streamTensors: (write) =>
      files.streamTensors({
        onProgress,
        onTensorBytes: ({ name }, byteOffset, piece) => write(name, byteOffset, piece),
        ...(signal && { signal }),
      }),
    onCompile: () => report({ phase: 'compiling', ...bytes }),
  });
  report({ phase: 'ready', ...bytes });
  const info: EngineInfo = {
    model: modelName(files.label),
    backend: 'webgpu',
    adapter: describeAdapter(device.capabilities),
    isSoftware: device.capabilities.isSoftware,
    contextWindow,
    gpuBytes: device.allocatedBytes,
    quantization: manifest.quantization ?? 'unknown',
  };
  return new LocalEngine({ model, texts, info, decodeImage });
}

function requireContext(asked: number | undefined, most: number): number {
  const context = asked ?? Math.min(most, DEFAULT_CONTEXT_WINDOW);
  if (Number.isInteger(context) && context >= 16 && context <= most) return context;
  throw new AutoglmError('request-invalid', `Cannot load with a context window of ${context} tokens.`, {
    value: context,
    limit: `16 to ${most}`,
    cure: 'Choose a context window that the model was trained for.',
  });
}

function requireRankCount(K: number): void {
  if (Number.isInteger(K) && K >= 1 && K <= MAX_RANKED) return;
  throw new AutoglmError('request-invalid', `Cannot rank ${K} continuations of each position.`, {
    value: K,
    limit: `1 to ${MAX_RANKED}`,
    cure: 'Ask for fewer.',
  });
}

/** Last part of a folder's path or URL. */
function modelName(label: string): string {
  return label.replace(/\/+$/, '').split('/').at(-1) || label;
}
