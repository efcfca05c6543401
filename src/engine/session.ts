import type { ContextShift } from './context-shift.ts';
import type {
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletionRequest,
  ChatMessage,
  UserMessage,
} from './openai.ts';

/** Fields of every request of a session. */
export type SessionRequest = Omit<
  ChatCompletionRequest,
  'messages' | 'stream' | 'stream_options' | 'n' | 'model'
>;

/** How a session begins. */
export interface SessionOptions {
  /** Name under which it is saved; default: random. */
  readonly id?: string | undefined;
  /** Messages before the first one: a system prompt, or a whole history. */
  readonly messages?: readonly ChatMessage[] | undefined;
  /** Fields of every request that says nothing else. */
  readonly request?: SessionRequest | undefined;
  /** Default `error`. */
  readonly contextShift?: ContextShift | undefined;
  /** Tokens that are kept free for an answer; default: an eighth of the context window. */
  readonly reservedTokens?: number | undefined;
}

/** Keeps and brings back the KV cache of conversations; the engine's side of `Sessions`. */
export interface SessionHost {
  /** Keeps a session under its name. */
  save(id: string, messages: readonly ChatMessage[]): Promise<SavedConversation>;
  /** Resolves with the messages. */
  restore(id: string): Promise<readonly ChatMessage[]>;
  /** What is kept. */
  list(): Promise<SavedConversation[]>;
  /** Forgets one that is kept. */
  delete(id: string): Promise<void>;
}

/** What is told of a saved conversation. */
export interface SavedConversation {
  readonly id: string;
  /** Milliseconds since 1970. */
  readonly savedAt: number;
  /** Tokens whose computation is spared. */
  readonly tokenCount: number;
  readonly byteLength: number;
}

/**
 * The conversations of an engine. Each keeps its own history; what they share is computed once, and the KV cache keeps
 * as many of them as the engine has slots, the latest used ones.
 */
export interface Sessions {
  /** Keeps them; for engines that pass the calls on. */
  readonly host: SessionHost;
  /** Opens a session. */
  create(options?: SessionOptions): Session;
  /**
   * Brings a saved session back, with its part of the KV cache: the next answer computes only what is new.
   *
   * @throws AutoglmError `session-missing`, `session-mismatch`, `session-corrupt`, `engine-busy`
   */
  restore(id: string, options?: Omit<SessionOptions, 'id' | 'messages'>): Promise<Session>;
  /** What is kept. */
  list(): Promise<SavedConversation[]>;
  /** Forgets one that is kept. */
  delete(id: string): Promise<void>;
}

/** One conversation. A message and its answer join the history when the answer has ended, and not before. */
export interface Session {
  readonly id: string;
  readonly messages: readonly ChatMessage[];
  /** Sends a message and waits for the whole answer. */
  send(
    content: UserMessage['content'] | ChatMessage,
    request?: SessionRequest,
    options?: { readonly signal?: AbortSignal },
  ): Promise<ChatCompletion>;
  /** Sends a message and streams the answer. Leaving the loop leaves the history as it was. */
  stream(
    content: UserMessage['content'] | ChatMessage,
    request?: SessionRequest,
    options?: { readonly signal?: AbortSignal },
  ): AsyncGenerator<ChatCompletionChunk, void>;
  /** A session with the same history, which goes its own way from here; nothing is computed again. */
  clone(id?: string): Session;
  /** A session with the first messages of this one. */
  branch(messageCount: number, id?: string): Session;
  /** Saves history and KV cache; `Sessions.restore` brings both back, also after a reload. */
  save(): Promise<SavedConversation>;
}
