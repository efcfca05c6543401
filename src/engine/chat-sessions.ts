import { AutoglmError } from '../base/errors.ts';
import { shiftContext } from './context-shift.ts';
import type { CallOptions, Engine } from './engine.ts';
import type {
  AssistantMessage,
  ChatCompletion,
  ChatCompletionChunk,
  ChatMessage,
  UserMessage,
} from './openai.ts';
import type {
  SavedConversation,
  Session,
  SessionHost,
  SessionOptions,
  SessionRequest,
  Sessions,
} from './session.ts';

type SessionEngine = Pick<Engine, 'chat' | 'info' | 'countTokens'>;

/** Sessions over an engine's chat completions. */
export class ChatSessions implements Sessions {
  /** Keeps the sessions; for engines that pass the calls on. */
  readonly host: SessionHost;
  readonly #engine: SessionEngine;

  constructor(engine: SessionEngine, host: SessionHost) {
    this.#engine = engine;
    this.host = host;
  }

  create(options: SessionOptions = {}): ChatSession {
    return new ChatSession(this.#engine, this.host, options);
  }

  async restore(id: string, options: Omit<SessionOptions, 'id' | 'messages'> = {}): Promise<ChatSession> {
    return this.create({ ...options, id, messages: await this.host.restore(id) });
  }

  list(): Promise<SavedConversation[]> {
    return this.host.list();
  }

  delete(id: string): Promise<void> {
    return this.host.delete(id);
  }
}

/** Text tokens are shorter than that, images take fewer: a bound that spares counting. */
const MOST_TOKENS_AN_IMAGE = 6400;

/** A session whose history is here. */
export class ChatSession implements Session {
  readonly id: string;
  readonly #engine: SessionEngine;
  readonly #host: SessionHost;
  readonly #options: SessionOptions;
  #messages: readonly ChatMessage[];
  /** Tokens of the history as the last answer found it; undefined while unknown. */
  #tokenCount: number | undefined;
  #isBusy = false;

  constructor(engine: SessionEngine, host: SessionHost, options: SessionOptions) {
    this.id = options.id ?? crypto.randomUUID();
    this.#engine = engine;
    this.#host = host;
    this.#options = options;
    this.#messages = [...(options.messages ?? [])];
  }

  get messages(): readonly ChatMessage[] {
    return this.#messages;
  }

  async send(
    content: UserMessage['content'] | ChatMessage,
    request: SessionRequest = {},
    options: CallOptions = {},
  ): Promise<ChatCompletion> {
    return this.#exclusively(async () => {
      const messages = await this.#prepare(content, options);
      const completion = await this.#engine.chat.completions.create(
        { ...this.#options.request, ...request, messages, stream: false },
        options,
      );
      const [choice] = completion.choices;
      if (choice) this.#append(messages, choice.message as AssistantMessage, completion.usage?.total_tokens);
      return completion;
    });
  }

  async *stream(
    content: UserMessage['content'] | ChatMessage,
    request: SessionRequest = {},
    options: CallOptions = {},
  ): AsyncGenerator<ChatCompletionChunk, void> {
    this.#enter();
    try {
      const messages = await this.#prepare(content, options);
      const chunks = await this.#engine.chat.completions.create(
        {
          ...this.#options.request,
          ...request,
          messages,
          stream: true,
          stream_options: { include_usage: true },
        },
        options,
      );
      let text = '';
      let totalTokens: number | undefined;
      for await (const chunk of chunks) {
        text += chunk.choices[0]?.delta.content ?? '';
        totalTokens = chunk.usage?.total_tokens ?? totalTokens;
        yield chunk;
      }
      this.#append(messages, { role: 'assistant', content: text }, totalTokens);
    } finally {
      this.#isBusy = false;
    }
  }

  clone(id?: string): ChatSession {
    return this.branch(this.#messages.length, id);
  }

  branch(messageCount: number, id?: string): ChatSession {
    const messages = this.#messages.slice(0, messageCount);
    const branch = new ChatSession(this.#engine, this.#host, { ...this.#options, id, messages });
    if (messages.length === this.#messages.length) branch.#tokenCount = this.#tokenCount;
    return branch;
  }

  save(): Promise<SavedConversation> {
    return this.#host.save(this.id, this.#messages);
  }

  async #prepare(
    content: UserMessage['content'] | ChatMessage,
    options: CallOptions,
  ): Promise<readonly ChatMessage[]> {
    const isMessage = typeof content === 'object' && 'role' in content;
    const message: ChatMessage = isMessage ? content : { role: 'user', content };
    const messages = [...this.#messages, message];
    const { contextShift: shift = 'error', reservedTokens } = this.#options;
    const { contextWindow } = this.#engine.info;
    const most = contextWindow - (reservedTokens ?? Math.floor(contextWindow / 8));
    if (shift === 'error' || !this.#engine.countTokens) return messages;
    if (this.#tokenCount !== undefined && this.#tokenCount + boundTokens(message) <= most) return messages;
    const count = (some: readonly ChatMessage[]): Promise<number> =>
      (this.#engine.countTokens as NonNullable<Engine['countTokens']>)(some, options);
    return shiftContext(messages, shift, { count, most });
  }

  #append(
    messages: readonly ChatMessage[],
    { role, content }: AssistantMessage,
    tokenCount: number | undefined,
  ): void {
    this.#messages = [...messages, { role, content: content ?? '' }];
    this.#tokenCount = tokenCount;
  }

  async #exclusively<T>(task: () => Promise<T>): Promise<T> {
    this.#enter();
    try {
      return await task();
    } finally {
      this.#isBusy = false;
    }
  }

  #enter(): void {
    if (this.#isBusy) {
      throw new AutoglmError('engine-busy', 'The session is answering another message.', {
        cure: 'Wait for its end, or send to a clone.',
      });
    }
    this.#isBusy = true;
  }
}

/** At most so many tokens. */
function boundTokens({ content }: ChatMessage): number {
  if (typeof content === 'string') return content.length + 16;
  const sizes = (content ?? []).map((part) =>
    part.type === 'text' ? part.text.length : MOST_TOKENS_AN_IMAGE,
  );
  return sizes.reduce((sum, size) => sum + size, 16);
}
