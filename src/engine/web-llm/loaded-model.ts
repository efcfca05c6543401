import type {
  ChatCompletionMessageParam,
  ChatCompletionRequest,
  ChatOptions,
  CompletionCreateParams,
  LogitProcessor,
} from '@mlc-ai/web-llm';
import { isAbortError } from '../../base/errors.ts';
import type { Engine } from '../engine.ts';
import type { Usage } from '../openai.ts';
import {
  assembleChat,
  assembleText,
  toChatRequest,
  toMlcChunk,
  toMlcCompletion,
  toTextRequest,
  WholeCalls,
} from './convert.ts';
import type { MlcChatAnswer, MlcTextAnswer } from './mlc-interface.ts';

/** What a loaded model is made of. */
export interface LoadedModelParts {
  readonly engine: Engine;
  readonly modelId: string;
  readonly chatOptions: ChatOptions | undefined;
  readonly processor: LogitProcessor | undefined;
}

/** An AutoGLM model in web-llm's interface, with what is remembered of its answers. */
export class LoadedModel {
  readonly engine: Engine;
  readonly modelId: string;
  readonly #chatOptions: ChatOptions | undefined;
  readonly #processor: LogitProcessor | undefined;
  /** The newest answer so far. */
  #message = { text: '' };
  /** Tokens a second of the last answer; absent before one. */
  #speeds: { readonly prefill: number; readonly decode: number } | undefined;
  /** What was asked last, for a logit processor. */
  #conversation: readonly ChatCompletionMessageParam[] = [];
  /** What `forward` has taken in so far. */
  #tokens: number[] = [];

  constructor({ engine, modelId, chatOptions, processor }: LoadedModelParts) {
    this.engine = engine;
    this.modelId = modelId;
    this.#chatOptions = chatOptions;
    this.#processor = processor;
  }

  /** Text of the last answer, also of one that is being given. */
  get message(): string {
    return this.#message.text;
  }

  /** Speed of the last answer, in web-llm's words. */
  get statsText(): string {
    if (!this.#speeds) return '';
    const { prefill, decode } = this.#speeds;
    return `prefill: ${prefill.toFixed(4)} tokens/sec, decoding: ${decode.toFixed(4)} tokens/sec`;
  }

  /** Answers a conversation in either way. */
  async answerChat(request: ChatCompletionRequest, signal: AbortSignal): Promise<MlcChatAnswer> {
    const converted = toChatRequest(request, this.#chatOptions, this.engine.info);
    this.#beginConversation(request.messages);
    const startedAt = performance.now();
    const includesUsage = !request.stream || request.stream_options?.include_usage === true;
    // Whole answers are streamed as well: an interrupted one is what there is of it.
    const chunks = await this.engine.chat.completions.create(
      { ...converted, stream: true, stream_options: { include_usage: true } },
      { signal },
    );
    const calls = new WholeCalls();
    const stream = this.#follow(chunks, {
      signal,
      toOwn: (chunk) => {
        this.#noteUsage(chunk.usage);
        return chunk.usage && !includesUsage
          ? undefined
          : calls.hold(toMlcChunk(this.#named(chunk), startedAt));
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
  async answerText(request: CompletionCreateParams, signal: AbortSignal): Promise<MlcTextAnswer> {
    this.#beginConversation([]);
    const converted = toTextRequest(request, this.#chatOptions, this.engine.info);
    const startedAt = performance.now();
    const includesUsage = !request.stream || request.stream_options?.include_usage === true;
    const chunks = await this.engine.completions.create(
      { ...converted, stream: true, stream_options: { include_usage: true } },
      { signal },
    );
    const stream = this.#follow(chunks, {
      signal,
      toOwn: (chunk) => {
        this.#noteUsage(chunk.usage);
        return chunk.usage && !includesUsage ? undefined : toMlcCompletion(this.#named(chunk), startedAt);
      },
      textOf: ({ choices: [choice] }) => (choice?.index === 0 ? choice.text : ''),
      toAborted: (last, index) => ({
        ...last,
        choices: [{ index, text: '', finish_reason: 'abort' as const }],
      }),
    });
    return request.stream ? stream : assembleText(stream);
  }

  /** Takes tokens in and gives the most likely next one. */
  async forward(inputIds: readonly number[], isPrefill: boolean): Promise<number> {
    this.#tokens.push(...inputIds);
    const startedAt = performance.now();
    const { choices } = await this.engine.completions.create({
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

  /** Forgets the last answer; conversations are told in every request and need no reset. */
  reset(keepsStats: boolean): void {
    this.#message = { text: '' };
    this.#tokens = [];
    this.#processor?.resetState();
    if (!keepsStats) this.#speeds = undefined;
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

  /** Under the id of the model's record, whatever its folder is called. */
  #named<Chunk extends { readonly model: string }>(chunk: Chunk): Chunk {
    return { ...chunk, model: this.modelId };
  }

  /** A processor keeps its state while a conversation goes on, and begins anew with another, as in web-llm. */
  #beginConversation(messages: readonly ChatCompletionMessageParam[]): void {
    if (!this.#processor) return;
    const before = this.#conversation;
    const goesOn =
      before.length > 0 &&
      messages.length > before.length &&
      before.every((message, index) => JSON.stringify(message) === JSON.stringify(messages[index]));
    if (!goesOn) this.#processor.resetState();
    this.#conversation = messages;
  }

  #noteUsage(usage: Usage | null | undefined): void {
    if (!usage) return;
    const { extra, prompt_tokens: prompt, prompt_tokens_details: details } = usage;
    const prefillSeconds = (extra?.prefillMs ?? 0) / 1000;
    this.#speeds = {
      prefill: prefillSeconds > 0 ? (prompt - (details?.cached_tokens ?? 0)) / prefillSeconds : 0,
      decode: extra?.decodeTokensPerSecond ?? 0,
    };
  }
}
