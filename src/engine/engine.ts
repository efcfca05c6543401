import type { Sessions } from './session.ts';
import type { AnswerMetrics } from './answer-metrics.ts';
import type { AutoglmError } from '../base/errors.ts';
import type { FitReport } from './fit-report.ts';
import type { LogitProcessor } from './logit-processor.ts';
import type {
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletionRequest,
  ChatMessage,
  Completion,
  CompletionRequest,
} from './openai.ts';
import type { PrefillRequest, PrefillSummary } from './prefill.ts';

/** What a loaded engine runs on and with. */
export interface EngineInfo {
  /** Model id or folder name, such as `autoglm-tiny-q4f16_1`. */
  readonly model: string;
  readonly backend: 'webgpu' | 'cuda' | 'helper' | 'web-llm' | 'remote';
  /** Adapter in words for a badge, such as `nvidia ampere` or `SwiftShader (software)`. */
  readonly adapter: string;
  /** True when the adapter computes on the CPU. */
  readonly isSoftware: boolean;
  /** Tokens that prompt and answer may hold together. */
  readonly contextWindow: number;
  /** Bytes on the GPU: weights, KV cache and work space. */
  readonly gpuBytes: number;
  readonly quantization: string;
  /** Token ids are below it; absent where others run the model. */
  readonly vocabularySize?: number | undefined;
  /** Why it runs here and not elsewhere; absent where nothing was chosen. */
  readonly reason?: BackendReason | undefined;
  /** What the model takes on the GPU and what was given up so that it fits; absent where others run it. */
  readonly plan?: FitReport | undefined;
}

/** Why an engine runs where it runs. */
export interface BackendReason {
  readonly code:
    'asked-for' | 'fits' | 'no-webgpu' | 'too-small' | 'out-of-memory' | 'device-lost' | 'helper-back';
  /** One English sentence with the figures; pages translate the code. */
  readonly text: string;
}

/** What happens to an engine that can change what it runs on. */
export type EngineChange =
  /** It failed; another one is looked for, or waited for, and answers wait with it. */
  | { readonly type: 'interrupted'; readonly fault: AutoglmError }
  | { readonly type: 'running'; readonly info: EngineInfo };

/** Told about every change. */
export type EngineListener = (change: EngineChange) => void;

/** Is told of every answer that has ended. */
export type MetricsListener = (metrics: AnswerMetrics) => void;

/** What an engine holds at this moment. */
export interface EngineStats {
  readonly gpuBytes: number;
  /** Tokens in the KV cache that a next prompt could share. */
  readonly cacheTokens: number;
  /** Tokens that the KV cache holds when it is full. */
  readonly cacheCapacity: number;
}

/** Names of the steps of a load, in order. */
export type LoadPhase = 'checking' | 'downloading' | 'verifying' | 'uploading' | 'compiling' | 'ready';

/** One progress report of a load. */
export interface LoadProgress {
  readonly phase: LoadPhase;
  readonly loadedBytes: number;
  readonly totalBytes: number;
  /** Recent speed of the current phase; 0 while unknown. */
  readonly bytesPerSecond: number;
  /** Told once, when it is known that the model fits and how, before anything of its weights is fetched. */
  readonly plan?: FitReport | undefined;
}

/** Options that every long call takes. */
export interface CallOptions {
  /** Aborts the call within one prefill chunk or one token. */
  readonly signal?: AbortSignal;
}

/** The `engine.chat.completions.create` overloads. */
export interface ChatCompletions {
  /** Streams an answer; leaving the loop stops it. */
  create(
    request: ChatCompletionRequest & { stream: true },
    options?: CallOptions,
  ): Promise<AsyncIterable<ChatCompletionChunk>>;
  /** Answers at once. */
  create(
    request: ChatCompletionRequest & { stream?: false | null | undefined },
    options?: CallOptions,
  ): Promise<ChatCompletion>;
}

/** The `engine.completions.create` overloads: text without a chat template. */
export interface TextCompletions {
  /** Goes on with texts, piece by piece. */
  create(
    request: CompletionRequest & { stream: true },
    options?: CallOptions,
  ): Promise<AsyncIterable<Completion>>;
  /** Goes on with texts, whole. */
  create(
    request: CompletionRequest & { stream?: false | null | undefined },
    options?: CallOptions,
  ): Promise<Completion>;
}

/**
 * A loaded model that answers chats. Local, worker, helper and remote engines all satisfy it.
 *
 * Errors are `AutoglmError`s, or the signal's `AbortError`. Leaving the loop over a stream stops the work.
 */
export interface Engine {
  readonly info: EngineInfo;
  readonly chat: { readonly completions: ChatCompletions };
  readonly completions: TextCompletions;
  /**
   * Tokens that a conversation takes in the context window, images included, with the opening of the answer; absent
   * where the engine's server does not tell.
   */
  countTokens?(messages: readonly ChatMessage[], options?: CallOptions): Promise<number>;
  /**
   * Computes what is certain of a coming request's prompt, so that its answer begins sooner: while an agent's phone acts,
   * or a user types. Nobody waits for it: it begins when no answer is being given, any request ends it within one chunk
   * of at most 256 tokens, and what it has computed by then is kept. It overwrites no conversation but the one that it is told to.
   * Absent where the engine's server cannot.
   */
  prefill?(request: PrefillRequest, options?: CallOptions): Promise<PrefillSummary>;
  /** Conversations that share the KV cache and can be saved; absent where the engine's server keeps none. */
  readonly sessions?: Sessions | undefined;
  /** Ends all answers that are being given or wait, as complete as they are; absent where only signals end them. */
  interruptGenerate?(): void;
  /** Tells when another engine takes over; absent where none ever does. The function that it returns ends it. */
  onChange?(listener: EngineListener): () => void;
  /**
   * Calls a listener when an answer has ended, however it did, also one that another page of a shared engine asked
   * for; absent where the engine's server does not tell. The function that it returns takes the listener off.
   */
  onMetrics?(listener: MetricsListener): () => void;
  /**
   * Lets a function change the logits of every later answer; undefined ends it. The logits come to the host for it
   * and answers wait for each other. Absent where they are out of reach: in a worker or on a server.
   */
  setLogitProcessor?(processor: LogitProcessor | undefined): void;
  /** Figures for monitoring; absent where the engine is not in this process. */
  stats?(): EngineStats;
  /** What the model takes on the GPU and what was given up so that it fits. */
  plan?(): FitReport | undefined;
  /** Frees the GPU and the worker; later calls throw `engine-unloaded`. Idempotent. */
  unload(): Promise<void>;
}
