import type {
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletionRequest,
  ChatCompletionRequestNonStreaming,
  ChatCompletionRequestStreaming,
  Completion,
  CompletionCreateParams,
  CompletionCreateParamsNonStreaming,
  CompletionCreateParamsStreaming,
  CreateEmbeddingResponse,
  EmbeddingCreateParams,
  InitProgressCallback,
  MLCEngineInterface,
} from '@mlc-ai/web-llm';

/** An answer of either kind of request, whole or in pieces. */
export type MlcChatAnswer = AsyncIterable<ChatCompletionChunk> | ChatCompletion;
export type MlcTextAnswer = AsyncIterable<Completion> | Completion;

/** What all engines with web-llm's interface have alike: the ways in which a request may be made, and its callback. */
export abstract class MlcInterface {
  readonly chat: MLCEngineInterface['chat'];
  readonly completions: MLCEngineInterface['completions'];
  readonly embeddings: MLCEngineInterface['embeddings'];
  protected onProgress: InitProgressCallback | undefined;

  protected constructor(onProgress: InitProgressCallback | undefined) {
    this.onProgress = onProgress;
    // Web-llm's classes for these hold a private field, so that no other object has their type; they only forward.
    this.chat = {
      completions: { create: (request: ChatCompletionRequest) => this.chatCompletion(request) },
    } as unknown as MLCEngineInterface['chat'];
    this.completions = {
      create: (request: CompletionCreateParams) => this.completion(request),
    } as unknown as MLCEngineInterface['completions'];
    this.embeddings = {
      create: (request: EmbeddingCreateParams) => this.embedding(request),
    } as unknown as MLCEngineInterface['embeddings'];
  }

  /** Sets who is told of a load. */
  setInitProgressCallback(initProgressCallback?: InitProgressCallback): void {
    this.onProgress = initProgressCallback;
  }

  /** Who is told of a load. */
  getInitProgressCallback(): InitProgressCallback | undefined {
    return this.onProgress;
  }

  /** Answers a conversation, whole. */
  chatCompletion(request: ChatCompletionRequestNonStreaming): Promise<ChatCompletion>;
  /** Answers a conversation, piece by piece. */
  chatCompletion(request: ChatCompletionRequestStreaming): Promise<AsyncIterable<ChatCompletionChunk>>;
  /** Answers a conversation as the request says. */
  chatCompletion(request: ChatCompletionRequest): Promise<MlcChatAnswer>;
  chatCompletion(request: ChatCompletionRequest): Promise<MlcChatAnswer> {
    return this.answerChat(request);
  }

  /** Goes on with a text, whole. */
  completion(request: CompletionCreateParamsNonStreaming): Promise<Completion>;
  /** Goes on with a text, piece by piece. */
  completion(request: CompletionCreateParamsStreaming): Promise<AsyncIterable<Completion>>;
  /** Goes on with a text as the request says. */
  completion(request: CompletionCreateParams): Promise<MlcTextAnswer>;
  completion(request: CompletionCreateParams): Promise<MlcTextAnswer> {
    return this.answerText(request);
  }

  /** Embeddings, of web-llm's models that make them. */
  abstract embedding(request: EmbeddingCreateParams): Promise<CreateEmbeddingResponse>;

  /** Answers a conversation in either way. */
  protected abstract answerChat(request: ChatCompletionRequest): Promise<MlcChatAnswer>;

  /** Goes on with a text in either way. */
  protected abstract answerText(request: CompletionCreateParams): Promise<MlcTextAnswer>;
}
