import { isAutoglmError } from '../../base/errors.ts';
import type { Engine } from '../engine.ts';
import type { ChatCompletionRequest, ChatMessage, ResponseFormat, Tool, ToolCall } from '../openai.ts';
import { isPrefixed, toChatMessages } from './prompt-messages.ts';
import type { PromptInput, PromptOptions, PromptTool, SamplingMode, SessionOptions } from './prompt-types.ts';

/** Answers in a row that may call functions before one must be in words. */
const MOST_TOOL_ROUNDS = 8;

const TEMPERATURES: Record<SamplingMode, number> = {
  'most-predictable': 0,
  predictable: 0.4,
  'slightly-predictable': 0.6,
  balanced: 0.8,
  'slightly-creative': 1,
  creative: 1.2,
  'most-creative': 1.6,
};

/** Is told that old turns were dropped. */
export type OverflowHandler = (event: Event) => unknown;

/** What a session shares with its clones. */
interface SessionParts {
  readonly engine: Engine;
  readonly options: Omit<SessionOptions, 'signal'> & { readonly signal?: AbortSignal | undefined };
  readonly messages: readonly ChatMessage[];
  readonly usage: number;
}

/** One conversation of the Prompt API. */
export class LanguageModelSession extends EventTarget {
  readonly #engine: Engine;
  readonly #options: SessionParts['options'];
  readonly #destroying = new AbortController();
  #messages: readonly ChatMessage[];
  #usage: number;
  /** Prompts of one session follow each other. */
  #tail: Promise<unknown> = Promise.resolve();
  readonly #handlers = new Map<string, OverflowHandler>();

  protected constructor({ engine, options, messages, usage }: SessionParts) {
    super();
    this.#engine = engine;
    this.#options = options;
    this.#messages = messages;
    this.#usage = usage;
    // The signal that a session is created with ends it later as well.
    const { signal } = options;
    const destroy = (): void => this.#destroying.abort(signal?.reason);
    if (signal?.aborted) destroy();
    else signal?.addEventListener('abort', destroy, { once: true, signal: this.#destroying.signal });
  }

  /** Begins a conversation on an engine. */
  static async open(engine: Engine, options: SessionOptions): Promise<LanguageModelSession> {
    const { initialPrompts = [], signal } = options;
    const messages = await toChatMessages(initialPrompts, acceptsImages(options));
    requireOneSystemPrompt(messages, 0);
    const usage = messages.length === 0 ? 0 : await countTokens(engine, messages, signal);
    signal?.throwIfAborted();
    if (usage >= engine.info.contextWindow) throw quotaExceeded(usage, engine.info.contextWindow);
    return new this({ engine, options, messages, usage });
  }

  /** Tokens that the conversation takes so far. */
  get contextUsage(): number {
    return this.#usage;
  }

  /** Tokens that it may take. */
  get contextWindow(): number {
    return this.#engine.info.contextWindow;
  }

  /** Older name of `contextUsage`. */
  get inputUsage(): number {
    return this.contextUsage;
  }

  /** Older name of `contextWindow`. */
  get inputQuota(): number {
    return this.contextWindow;
  }

  /** Tokens that are considered at each place; 0: all. */
  get topK(): number {
    return Math.floor(this.#options.topK ?? 0);
  }

  /** How far answers may stray; 0 is always the likeliest. */
  get temperature(): number {
    const { temperature, samplingMode = 'balanced' } = this.#options;
    return temperature ?? TEMPERATURES[samplingMode];
  }

  /** How surprising answers may be; null where `temperature` and `topK` say so. */
  get samplingMode(): SamplingMode | null {
    const { temperature, topK, samplingMode = 'balanced' } = this.#options;
    return temperature === undefined && topK === undefined ? samplingMode : null;
  }

  /** Called when old turns are dropped because the conversation has grown too long. */
  get oncontextoverflow(): OverflowHandler | null {
    return this.#handlers.get('contextoverflow') ?? null;
  }

  /** Sets it; null takes it off. */
  set oncontextoverflow(listener: OverflowHandler | null) {
    this.#setHandler('contextoverflow', listener);
  }

  /** Older name of `oncontextoverflow`. */
  get onquotaoverflow(): OverflowHandler | null {
    return this.#handlers.get('quotaoverflow') ?? null;
  }

  /** Sets it; null takes it off. */
  set onquotaoverflow(listener: OverflowHandler | null) {
    this.#setHandler('quotaoverflow', listener);
  }

  /** Answers a prompt; question and answer become part of the conversation. */
  async prompt(input: PromptInput, options: PromptOptions = {}): Promise<string> {
    let text = '';
    for await (const piece of this.#answer(input, options)) text += piece;
    return text;
  }

  /** As `prompt`, piece by piece. Cancelling the stream stops the work. */
  promptStreaming(input: PromptInput, options: PromptOptions = {}): ReadableStream<string> {
    this.#combine(options.signal);
    const pieces = this.#answer(input, options);
    return new ReadableStream<string>({
      pull: async (controller) => {
        const next = await pieces.next();
        if (next.done) controller.close();
        else controller.enqueue(next.value);
      },
      cancel: async () => void (await pieces.return(undefined)),
    });
  }

  /** Adds messages to the conversation without an answer. */
  async append(input: PromptInput, options: { readonly signal?: AbortSignal } = {}): Promise<undefined> {
    const signal = this.#combine(options.signal);
    const added = await toChatMessages(input, acceptsImages(this.#options));
    await this.#inTurn(signal, async () => {
      requireOneSystemPrompt(added, this.#messages.length);
      const { messages, usage } = await this.#fit([...this.#messages, ...added], added.length, signal);
      this.#messages = messages;
      this.#usage = usage;
    });
  }

  /** Tokens that a prompt would take by itself. */
  async measureContextUsage(input: PromptInput, options: PromptOptions = {}): Promise<number> {
    const signal = this.#combine(options.signal);
    const added = await toChatMessages(input, acceptsImages(this.#options));
    return countTokens(this.#engine, withConstraint(added, options), signal);
  }

  /** Older name of `measureContextUsage`. */
  measureInputUsage(input: PromptInput, options: PromptOptions = {}): Promise<number> {
    return this.measureContextUsage(input, options);
  }

  /** A second conversation that begins as this one has gone so far; what both share is computed once. */
  async clone({ signal }: { readonly signal?: AbortSignal } = {}): Promise<LanguageModelSession> {
    const combined = this.#combine(signal);
    await this.#tail.catch(() => {});
    combined.throwIfAborted();
    const Session = this.constructor as typeof LanguageModelSession;
    return new Session({
      engine: this.#engine,
      options: { ...this.#options, signal },
      messages: this.#messages,
      usage: this.#usage,
    });
  }

  /** Ends what runs; the session cannot be used any more. The engine stays. */
  destroy(): undefined {
    this.#destroying.abort(new DOMException('The session was destroyed.', 'AbortError'));
  }

  async *#answer(input: PromptInput, options: PromptOptions): AsyncGenerator<string, void> {
    const signal = this.#combine(options.signal);
    const given = await toChatMessages(input, acceptsImages(this.#options));
    const added = withConstraint(given, options);
    const leave = await this.#enter(signal);
    try {
      requireOneSystemPrompt(given, this.#messages.length);
      const all = [...this.#messages, ...added];
      // Nothing at all is asked as an empty text is.
      if (all.length === 0) all.push({ role: 'user', content: '' });
      const fitted = await this.#fit(all, added.length, signal);
      yield* this.#generate(fitted.messages, { isContinued: isPrefixed(input), options, signal });
    } catch (error) {
      signal.throwIfAborted();
      throw toPromptError(error, this.contextWindow);
    } finally {
      leave();
    }
  }

  /** Answers, with functions called in between; keeps the conversation when the answer is whole. */
  async *#generate(
    begun: readonly ChatMessage[],
    { isContinued, options, signal }: { isContinued: boolean; options: PromptOptions; signal: AbortSignal },
  ): AsyncGenerator<string, void> {
    const { tools = [] } = this.#options;
    let messages = begun;
    for (let round = 0; ; round++) {
      const mayCall = tools.length > 0 && !isContinued && round < MOST_TOOL_ROUNDS;
      const request: ChatCompletionRequest = {
        messages,
        temperature: this.temperature,
        top_k: this.topK,
        reasoning_format: 'hidden',
        response_format: toResponseFormat(options.responseConstraint, isContinued ? begun.at(-1) : undefined),
        ...(isContinued && round === 0 && { continue_final_message: true }),
        ...(mayCall && { tools: tools.map(toTool) }),
      };
      const calls = new Map<number, { id: string; name: string; text: string }>();
      let text = '';
      const stream = { ...request, stream: true, stream_options: { include_usage: true } } as const;
      for await (const chunk of await this.#engine.chat.completions.create(stream, { signal })) {
        const delta = chunk.choices[0]?.delta;
        for (const { index, id = '', function: called } of delta?.tool_calls ?? []) {
          const call = calls.get(index) ?? { id, name: called.name ?? '', text: '' };
          call.text += called.arguments;
          calls.set(index, call);
        }
        if (delta?.content) {
          text += delta.content;
          yield delta.content;
        }
        if (chunk.usage) this.#usage = chunk.usage.total_tokens;
      }
      const called = [...calls.values()].map(({ id, name, text: args }): ToolCall => ({
        id,
        type: 'function',
        function: { name, arguments: args },
      }));
      messages = addAnswer(messages, text, called, isContinued && round === 0);
      if (called.length === 0) break;
      messages = [...messages, ...(await Promise.all(called.map((call) => callTool(tools, call))))];
      signal.throwIfAborted();
    }
    this.#messages = messages;
  }

  /** Drops the oldest turns until the rest leaves room for an answer; the system prompt stays. */
  async #fit(
    messages: readonly ChatMessage[],
    addedCount: number,
    signal: AbortSignal,
  ): Promise<{ messages: readonly ChatMessage[]; usage: number }> {
    const { contextWindow } = this.#engine.info;
    let kept = messages;
    let usage = await countTokens(this.#engine, kept, signal);
    let isShortened = false;
    while (usage >= contextWindow) {
      const first = kept.findIndex(({ role }) => role !== 'system');
      // A whole turn: an answer without its question would say something else.
      const next = kept.findIndex(({ role }, index) => index > first && role === 'user');
      if (first === -1 || next === -1 || kept.length - next + first < addedCount) {
        throw quotaExceeded(usage, contextWindow);
      }
      kept = [...kept.slice(0, first), ...kept.slice(next)];
      usage = await countTokens(this.#engine, kept, signal);
      isShortened = true;
    }
    if (isShortened) {
      this.dispatchEvent(new Event('contextoverflow'));
      this.dispatchEvent(new Event('quotaoverflow'));
    }
    return { messages: kept, usage };
  }

  async #inTurn<T>(signal: AbortSignal, run: () => Promise<T>): Promise<T> {
    const leave = await this.#enter(signal);
    try {
      return await run();
    } finally {
      leave();
    }
  }

  async #enter(signal: AbortSignal): Promise<() => void> {
    const before = this.#tail;
    let leave!: () => void;
    this.#tail = new Promise<void>((resolve) => {
      leave = resolve;
    });
    await before;
    if (signal.aborted) leave();
    signal.throwIfAborted();
    return leave;
  }

  /** @throws DOMException `AbortError` once destroyed, or the reason of the signal it was created with; the signal's */
  #combine(signal: AbortSignal | undefined): AbortSignal {
    this.#destroying.signal.throwIfAborted();
    signal?.throwIfAborted();
    return AbortSignal.any([this.#destroying.signal, ...(signal ? [signal] : [])]);
  }

  #setHandler(type: string, listener: OverflowHandler | null): void {
    const before = this.#handlers.get(type);
    if (before) this.removeEventListener(type, before);
    this.#handlers.delete(type);
    if (!listener) return;
    this.#handlers.set(type, listener);
    this.addEventListener(type, listener);
  }
}

/** The system prompt is the first of all messages, or there is none. @throws TypeError */
function requireOneSystemPrompt(added: readonly ChatMessage[], before: number): void {
  if (added.every(({ role }, index) => role !== 'system' || before + index === 0)) return;
  throw new TypeError('A system prompt is the first message of a session, and the only one.');
}

function acceptsImages({ expectedInputs = [] }: Pick<SessionOptions, 'expectedInputs'>): boolean {
  return expectedInputs.some(({ type }) => type === 'image');
}

/** The model knows of the form that its answer must have, unless the page wants to say so itself. */
function withConstraint(
  messages: readonly ChatMessage[],
  { responseConstraint: constraint, omitResponseConstraintInput: isOmitted = false }: PromptOptions,
): ChatMessage[] {
  if (!constraint || isOmitted) return [...messages];
  const form =
    constraint instanceof RegExp
      ? `Answer with text that matches ${String(constraint)}`
      : `Answer with JSON that matches this schema: ${toSchemaText(constraint)}`;
  return [{ role: 'system', content: form }, ...messages];
}

/** @throws DOMException `NotSupportedError` for a schema that is not JSON */
function toSchemaText(schema: object): string {
  try {
    return JSON.stringify(schema);
  } catch (error) {
    throw new DOMException(`The schema is not JSON: ${String(error)}`, 'NotSupportedError');
  }
}

/** @param begun the beginning of the answer, which is a part of what has the form. */
function toResponseFormat(
  constraint: object | undefined,
  begun: ChatMessage | undefined,
): ResponseFormat | undefined {
  if (!constraint) return undefined;
  const prefix = begun && { prefix: toText(begun) };
  if (constraint instanceof RegExp) return { type: 'regex', regex: constraint.source, ...prefix };
  const schema = JSON.parse(toSchemaText(constraint)) as Readonly<Record<string, unknown>>;
  return { type: 'json_schema', json_schema: { name: 'response', schema }, ...prefix };
}

function toText({ content }: ChatMessage): string {
  if (typeof content === 'string') return content;
  return (content ?? []).map((part) => (part.type === 'text' ? part.text : '')).join('');
}

function toTool({ name, description, inputSchema }: PromptTool): Tool {
  const parameters = inputSchema as Readonly<Record<string, unknown>>;
  return { type: 'function', function: { name, description, parameters } };
}

async function callTool(
  tools: readonly PromptTool[],
  { id, function: called }: ToolCall,
): Promise<ChatMessage> {
  const tool = tools.find(({ name }) => name === called.name);
  const execute = tool?.execute as ((input: unknown) => Promise<string>) | undefined;
  const content = await execute?.call(tool, JSON.parse(called.arguments));
  return { role: 'tool', tool_call_id: id, content: String(content ?? '') };
}

function addAnswer(
  messages: readonly ChatMessage[],
  text: string,
  calls: readonly ToolCall[],
  isContinued: boolean,
): readonly ChatMessage[] {
  const last = messages.at(-1);
  if (isContinued && last?.role === 'assistant') {
    return [...messages.slice(0, -1), { role: 'assistant', content: `${String(last.content ?? '')}${text}` }];
  }
  return [...messages, { role: 'assistant', content: text, ...(calls.length > 0 && { tool_calls: calls }) }];
}

async function countTokens(
  engine: Engine,
  messages: readonly ChatMessage[],
  signal: AbortSignal | undefined,
): Promise<number> {
  if (messages.length === 0) return 0;
  // A server that does not count refuses a conversation that is too long by itself.
  const count = (await engine.countTokens?.(messages, signal ? { signal } : {})) ?? 0;
  // It may have been told in the meantime, however short that was.
  signal?.throwIfAborted();
  return count;
}

function toPromptError(error: unknown, contextWindow: number): unknown {
  if (isAutoglmError(error, 'prompt-too-long')) return quotaExceeded(Number(error.value), contextWindow);
  if (isAutoglmError(error, 'image-undecodable')) return new DOMException(error.message, 'InvalidStateError');
  if (isAutoglmError(error, 'request-invalid')) return new DOMException(error.message, 'NotSupportedError');
  return error;
}

/** With the class of its own where the platform has it. */
function quotaExceeded(requested: number, quota: number): Error {
  const message = `The conversation takes ${requested} tokens, and the context window holds ${quota}.`;
  const { QuotaExceededError: Specific } = globalThis as {
    QuotaExceededError?: new (message: string, options: object) => Error;
  };
  return Specific
    ? new Specific(message, { requested, quota })
    : Object.assign(new DOMException(message, 'QuotaExceededError'), { requested, quota });
}
