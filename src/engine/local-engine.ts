import { AutoglmError } from '../base/errors.ts';
import type { Device } from '../gpu/device.ts';
import type { DecodeImage } from '../image/decode-image.ts';
import type { LanguageModel } from '../model/language-model.ts';
import { MAX_RANKED } from '../model/logprob-ranker.ts';
import { MAX_COLUMNS } from '../model/text-buffers.ts';
import type { RankedToken } from '../model/ranked-token.ts';
import type { SequenceRequest, SequenceSummary } from '../model/active-sequence.ts';
import { Scheduler } from '../model/scheduler.ts';
import type { SpeculationMode } from '../model/speculation.ts';
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
import { StreamDecoder } from '../tokenizer/stream-decoder.ts';
import type {
  AnswerCallOptions,
  AnswerEngine,
  AnswerFinish,
  AnswerMetrics,
  AnswerOptions,
  AnswerSummary,
  AnswerToken,
} from './answer.ts';
import { toCacheKeys } from './cache-keys.ts';
import { ChatSessions } from './chat-sessions.ts';
import { ChatCompletionService } from './chat-completions.ts';
import { TextCompletionService } from './text-completions.ts';
import {
  AnswerGrammars,
  type GrammarConstraint,
  type GrammarVocabulary,
} from './grammar/grammar-compiler.ts';
import type { GrammarSpec } from './grammar/grammar-spec.ts';
import { toVocabulary } from './grammar/vocabulary.ts';
import type { LoadXGrammar } from './grammar/xgrammar.ts';
import type { ChatMessage } from './openai.ts';
import { PromptBuilder, type Prompt } from './chat-prompt.ts';
import { RecentPrompts } from './recent-prompts.ts';
import { CompletionStream } from './completion-stream.ts';
import type {
  CallOptions,
  ChatCompletions,
  Engine,
  EngineInfo,
  EngineStats,
  MetricsListener,
  TextCompletions,
} from './engine.ts';
import type { FitReport } from './fit-report.ts';
import { ImageFeatures } from './image-features.ts';
import { loadModel, type LoadOptions } from './load-model.ts';
import { withProcessor, type LogitProcessor } from './logit-processor.ts';
import { vocabularySizeOf, type ModelTexts } from './model-texts.ts';
import { NO_PREFILL, type PrefillRequest, type PrefillSummary } from './prefill.ts';
import { parsePrefillRequest, sampleNextMessages } from './prefill-request.ts';
import { SavedConversations } from './saved-conversations.ts';
import type { SessionHost, Sessions } from './session.ts';
import type { KeyValueStore } from '../storage/key-value-store.ts';
import { createMemoryKeyValueStore } from '../storage/memory-key-value-store.ts';
import { toPlainMessages } from './tool-messages.ts';
import { TurnQueue } from './turn-queue.ts';

/** What a local engine is made of. */
export interface LocalEngineOptions extends LoadOptions {
  readonly decodeImage: DecodeImage;
  /** Loads the grammar library, with the first answer that has a form. */
  readonly loadXGrammar: LoadXGrammar;
  readonly speculation?: SpeculationMode | undefined;
  /** Where sessions are saved; default: nowhere that outlives the engine. */
  readonly sessionStore?: KeyValueStore | undefined;
}

/** An engine that runs the model on a device of this process or worker. */
export class LocalEngine implements Engine, AnswerEngine {
  readonly info: EngineInfo;
  readonly chat: { readonly completions: ChatCompletions };
  readonly completions: TextCompletions;
  readonly prompts: PromptBuilder;
  readonly texts: ModelTexts;
  readonly model: LanguageModel;
  readonly sessions: Sessions;
  readonly #device: Device;
  readonly #grammars: AnswerGrammars;
  readonly #features: ImageFeatures;
  readonly #scheduler: Scheduler;
  readonly #recentPrompts = new RecentPrompts();
  #logitProcessor: LogitProcessor | undefined;
  /** A processor follows one answer at a time. */
  readonly #processorTurns = new TurnQueue();
  readonly #metricsListeners = new Set<MetricsListener>();
  /** Ends the answers that are being given; replaced when it has fired. */
  #interrupt = new AbortController();
  /** Aborts what runs or waits when the engine is unloaded. */
  readonly #unloading = new AbortController();

  constructor(parts: {
    model: LanguageModel;
    scheduler: Scheduler;
    texts: ModelTexts;
    info: EngineInfo;
    decodeImage: DecodeImage;
    loadXGrammar: LoadXGrammar;
    /** Names the model's config and weights. */
    fingerprint: string;
    sessionStore?: KeyValueStore | undefined;
  }) {
    this.model = parts.model;
    this.#scheduler = parts.scheduler;
    this.texts = parts.texts;
    this.info = parts.info;
    this.#device = parts.model.device;
    this.#features = new ImageFeatures(parts.model);
    this.prompts = new PromptBuilder({ ...parts.texts, decodeImage: parts.decodeImage });
    this.sessions = new ChatSessions(this, this.#createSessionHost(parts));
    this.chat = { completions: new ChatCompletionService(this) };
    this.completions = new TextCompletionService(this);
    this.#grammars = new AnswerGrammars(parts.loadXGrammar, () => this.#readVocabulary());
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

  /** Answers that wait for a part of the KV cache, and those that have one. */
  get load(): { readonly waiting: number; readonly active: number } {
    return this.#scheduler.load;
  }

  /**
   * Generates the answer to a prompt; returns its summary. Answers that are asked for together are decoded together,
   * up to the number of slots; further ones wait, first come, first served. Leaving the loop early stops the work.
   *
   * @throws AutoglmError `request-invalid`, `prompt-too-long`, `device-lost`, `engine-unloaded`; the signal's `AbortError`
   */
  async *answer(
    prompt: Prompt,
    options: AnswerOptions,
    callOptions: AnswerCallOptions = {},
  ): AsyncGenerator<AnswerToken, AnswerSummary> {
    const signal = this.#combine(callOptions.signal);
    const processor = this.#logitProcessor;
    const constraint = processor ? withProcessor(processor, callOptions.constraint) : callOptions.constraint;
    const settings = this.#parseSettings(options);
    this.model.text.requireFits(prompt.tokenIds.length);
    const maxTokens = this.#maxTokens(options, prompt);
    const completion = this.#startCompletion(options, maxTokens);
    let completionTokens = 0;
    let outcome: AnswerMetrics['outcome'] = 'abort';
    let finishReason: AnswerFinish = 'abort';
    let metrics: AnswerMetrics | undefined;
    const sequence = this.#toSequence(prompt);
    if (callOptions.completionId) this.#recentPrompts.add(callOptions.completionId, sequence.keys);
    const leave = processor ? await this.#processorTurns.enter(signal) : undefined;
    const tokens = this.#scheduler.generate({
      ...sequence,
      sampler: this.#encodeSampler(settings, prompt, constraint !== undefined),
      maxTokens,
      topCount: settings.topLogprobs,
      stopIds: completion.eosTokenIds,
      constraint,
      signal,
      interrupt: this.#interrupt.signal,
      onEnd: (summary) => {
        const counts = { promptTokens: prompt.tokenIds.length, completionTokens };
        metrics = { ...toSummary(summary, counts), outcome };
        for (const listener of this.#metricsListeners) listener(metrics);
      },
    });
    try {
      for await (const { id, logprob, top } of tokens) {
        completionTokens++;
        const step = completion.push(id);
        if (step.finishReason) outcome = finishReason = step.finishReason;
        yield { id, ...step, ...(settings.logprobs && { logprob }), ...(top && { top }) };
        if (step.finishReason) break;
      }
    } catch (error) {
      if (!signal.aborted) outcome = 'error';
      throw error;
    } finally {
      leave?.();
    }
    return { ...(metrics as unknown as AnswerMetrics), finishReason };
  }

  /**
   * The K most likely continuations of every position of a prompt, by the raw logits; K is 1 to `MAX_RANKED`.
   *
   * @throws as `answer` does
   */
  async rankPrompt(prompt: Prompt, K: number, callOptions: CallOptions = {}): Promise<RankedToken[][]> {
    const signal = this.#combine(callOptions.signal);
    requireRankCount(K);
    const { text, ranker } = this.model;
    const ranked: RankedToken[][] = [];
    const settings = this.#parseSettings({ temperature: 0 });
    const tokens = this.#scheduler.generate({
      ...this.#toSequence(prompt),
      sampler: this.#encodeSampler(settings, prompt, false),
      maxTokens: 0,
      topCount: 0,
      signal,
      afterChunk: async (from, to) => {
        for (let first = 0; first < to - from; first += MAX_COLUMNS) {
          const count = Math.min(MAX_COLUMNS, to - from - first);
          await text.computeLogits(Array.from({ length: count }, (_, row) => first + row));
          ranked.push(...(await ranker.rankRows(count, K)));
        }
      },
    });
    await tokens.next();
    return ranked;
  }

  /**
   * Computes what is certain of a coming request's prompt while no answer is being given.
   *
   * @throws as `answer` does
   */
  async prefill(request: PrefillRequest, callOptions: CallOptions = {}): Promise<PrefillSummary> {
    const signal = this.#combine(callOptions.signal);
    const { messages, next, replaces } = parsePrefillRequest(request);
    const prompt = await this.prompts.fromBeginning(messages, sampleNextMessages(next), { signal });
    if (!prompt) return NO_PREFILL;
    signal.throwIfAborted();
    let summary: PrefillSummary = NO_PREFILL;
    const tokens = this.#scheduler.generate({
      ...this.#toSequence(prompt),
      ahead: { spent: this.#recentPrompts.get(replaces) },
      sampler: this.#encodeSampler(this.#parseSettings({ temperature: 0 }), prompt, false),
      maxTokens: 0,
      topCount: 0,
      signal,
      interrupt: this.#interrupt.signal,
      onEnd: ({ cachedTokens, computedTokens }) => {
        summary = { promptTokens: prompt.tokenIds.length, cachedTokens, computedTokens };
      },
    });
    await tokens.next();
    return summary;
  }

  /** Ends all answers that are being given or wait, as complete as they are, with the reason `abort`. */
  interruptGenerate(): void {
    this.#interrupt.abort();
    this.#interrupt = new AbortController();
  }

  /** Calls a listener when an answer has ended, however it did; the function that it returns takes it off. */
  onMetrics(listener: MetricsListener): () => void {
    this.#metricsListeners.add(listener);
    return () => void this.#metricsListeners.delete(listener);
  }

  setLogitProcessor(processor: LogitProcessor | undefined): void {
    this.#logitProcessor = processor;
  }

  stats(): EngineStats {
    return {
      gpuBytes: this.#device.allocatedBytes,
      cacheTokens: this.#scheduler.slots.tokenCount,
      cacheCapacity: this.info.contextWindow * this.model.options.slots,
    };
  }

  constrain(spec: GrammarSpec, param: string): Promise<GrammarConstraint> {
    return this.#grammars.constrain(spec, param);
  }

  async countTokens(messages: readonly ChatMessage[], options: CallOptions = {}): Promise<number> {
    const plain = toPlainMessages(messages, undefined);
    return (await this.prompts.fromMessages(plain, options)).tokenIds.length;
  }

  /** What the model takes on the GPU, and what was given up for it. */
  plan(): FitReport | undefined {
    return this.info.plan;
  }

  async unload(): Promise<void> {
    if (this.#unloading.signal.aborted) return;
    this.#unloading.abort(
      new AutoglmError('engine-unloaded', 'This engine was unloaded.', { cure: 'Create a new one.' }),
    );
    await this.#scheduler.idle();
    await this.#features.destroy();
    this.model.destroy();
    this.#device.destroy();
  }

  #createSessionHost({
    fingerprint,
    sessionStore: store = createMemoryKeyValueStore(),
  }: {
    fingerprint: string;
    sessionStore?: KeyValueStore | undefined;
  }): SessionHost {
    const { quantization } = this.info;
    const { cacheFormat } = this.model.options;
    const identity = { model: fingerprint, quantization, cacheFormat };
    const saved = new SavedConversations({ store, scheduler: this.#scheduler, identity });
    return {
      save: async (id, messages) => {
        const prompt = await this.prompts.fromMessages(toPlainMessages(messages, undefined));
        return saved.save(id, toCacheKeys(prompt), messages);
      },
      restore: async (id) => (await saved.restore(id)) as readonly ChatMessage[],
      list: () => saved.list(),
      delete: (id) => saved.delete(id),
    };
  }

  #toSequence(prompt: Prompt): SequenceInput {
    const { tokenIds, positions, ropeDelta, images } = prompt;
    return {
      tokenIds,
      positions,
      ropeDelta,
      keys: toCacheKeys(prompt),
      encodeImages:
        images.length === 0
          ? undefined
          : (cachedCount, signal) => {
              // The others are wholly in the cache.
              const needed = images.filter(({ image, start }) => start + image.tokenCount > cachedCount);
              return this.#features.lease(needed, signal);
            },
    };
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
    if (maxTokens !== undefined && maxTokens !== null && !(Number.isInteger(maxTokens) && maxTokens > 0)) {
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
      vocabularySize: vocabularySizeOf(this.texts),
    });
  }

  #maxTokens({ max_tokens: maxTokens }: AnswerOptions, prompt: Prompt): number {
    const room = this.info.contextWindow - prompt.tokenIds.length + 1;
    return Math.min(maxTokens ?? room, room);
  }

  #encodeSampler(settings: SamplerSettings, prompt: Prompt, hasMask: boolean): SamplerState {
    const { V } = this.texts.config.text;
    return {
      settings: encodeSettings(settings, { vocabularySize: vocabularySizeOf(this.texts), hasMask }),
      bias: settings.logitBias.size > 0 ? encodeLogitBias(settings.logitBias, V) : undefined,
      counts: hasPenalties(settings) ? encodePromptCounts(prompt.tokenIds, V) : undefined,
    };
  }

  /** @throws AutoglmError `tokenizer-missing` */
  #readVocabulary(): GrammarVocabulary {
    const { tokenizer, config, generation } = this.texts;
    if (tokenizer) return toVocabulary(tokenizer, [...config.eosTokenIds, ...generation.eosTokenIds]);
    throw new AutoglmError('tokenizer-missing', 'Without a tokenizer an answer cannot be held to a form.', {
      value: 'tokenizer.json',
      cure: 'Convert a checkpoint that has its tokenizer beside it.',
    });
  }

  /** Fires with the caller's signal, or when the engine is unloaded. @throws its reason when it already has */
  #combine(signal: AbortSignal | undefined): AbortSignal {
    const unloading = this.#unloading.signal;
    unloading.throwIfAborted();
    return signal ? AbortSignal.any([unloading, signal]) : unloading;
  }
}

type SequenceInput = Pick<SequenceRequest, 'tokenIds' | 'positions' | 'ropeDelta' | 'keys' | 'encodeImages'>;

function toSummary(
  { times, cachedTokens, meanColumns }: SequenceSummary,
  counts: { promptTokens: number; completionTokens: number },
): Omit<AnswerSummary, 'finishReason'> {
  const { queuedAt, admittedAt, preparedAt, prefilledAt, firstTokenAt, endedAt } = times;
  // What was not reached took no time.
  const between = (from: number, to: number): number => (from > 0 && to > from ? to - from : 0);
  const decodeMs = between(firstTokenAt, endedAt);
  const stepCount = counts.completionTokens - 1;
  return {
    ...counts,
    cachedTokens,
    timings: {
      queueMs: between(queuedAt, admittedAt),
      visionMs: between(admittedAt, preparedAt),
      prefillMs: between(preparedAt, prefilledAt),
      timeToFirstTokenMs: between(queuedAt, firstTokenAt),
      decodeMs,
      decodeTokensPerSecond: stepCount > 0 && decodeMs > 0 ? (stepCount * 1000) / decodeMs : 0,
      cachedTokens,
      meanBatch: meanColumns,
    },
  };
}

async function loadEngine(options: LocalEngineOptions): Promise<LocalEngine> {
  const { decodeImage, loadXGrammar, onProgress } = options;
  const { model, texts, info, byteLength, fingerprint } = await loadModel(options);
  const scheduler = await Scheduler.create(model, {
    // Software computes too slowly to need more.
    ...(info.isSoftware && { stepsInFlight: 1 }),
    speculation: options.speculation ?? (info.isSoftware ? 'off' : 'auto'),
  });
  onProgress?.({ phase: 'ready', loadedBytes: byteLength, totalBytes: byteLength, bytesPerSecond: 0 });
  const { sessionStore } = options;
  return new LocalEngine({
    model,
    scheduler,
    texts,
    info,
    decodeImage,
    loadXGrammar,
    fingerprint,
    sessionStore,
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
