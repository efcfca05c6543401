/** The part of OpenAI's chat-completions surface that the engine speaks; names and shapes are OpenAI's. */

/** Text part of a message. */
export interface TextPart {
  readonly type: 'text';
  readonly text: string;
}

/** Image part of a message; `url` is a data, blob or http(s) URL. */
export interface ImagePart {
  readonly type: 'image_url';
  readonly image_url: { readonly url: string; readonly detail?: 'auto' | 'low' | 'high' };
}

/** A part of a message's content. */
export type ContentPart = TextPart | ImagePart;

/** One turn of a conversation. */
export interface ChatMessage {
  readonly role: 'system' | 'developer' | 'user' | 'assistant' | 'tool';
  readonly content: string | readonly ContentPart[];
}

/** A request; all limits and defaults are OpenAI's unless said otherwise. */
export interface ChatCompletionRequest {
  readonly messages: readonly ChatMessage[];
  readonly model?: string;
  readonly stream?: boolean | undefined;
  readonly stream_options?: { readonly include_usage?: boolean };
  /** Most tokens to generate; default: what the context window leaves. */
  readonly max_tokens?: number;
  /** 0 is greedy. Default: the model's generation_config.json, else 1. */
  readonly temperature?: number;
  readonly top_p?: number;
  /** Extra: keep the k most likely tokens; 0 keeps all. */
  readonly top_k?: number;
  /** Extra: drop tokens below this share of the best token's probability. */
  readonly min_p?: number;
  readonly frequency_penalty?: number;
  readonly presence_penalty?: number;
  /** Extra: 1 is off. */
  readonly repetition_penalty?: number;
  readonly logit_bias?: Readonly<Record<string, number>>;
  /** Same seed, same text. Default: random. */
  readonly seed?: number;
  readonly stop?: string | readonly string[];
  readonly logprobs?: boolean;
  /** 0 to 20 alternatives a token; needs `logprobs`. */
  readonly top_logprobs?: number;
  /** Extra: generate past the end-of-text tokens. */
  readonly ignore_eos?: boolean;
}

/** Tokens of a request and its answer. */
export interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
  /** Extra: where the time went. */
  readonly extra?: GenerationTimings;
}

/** Milliseconds of the phases of one answer. */
export interface GenerationTimings {
  /** Until the answer got its part of the KV cache. */
  readonly queueMs?: number;
  readonly visionMs: number;
  readonly prefillMs: number;
  readonly timeToFirstTokenMs: number;
  readonly decodeMs: number;
  readonly decodeTokensPerSecond: number;
  /** Prompt tokens that were not computed for this answer. */
  readonly cachedTokens?: number;
  /** Answers that were decoded together with this one, itself included, on average. */
  readonly meanBatch?: number;
}

/** How likely a token was, and what else might have come. */
export interface TokenLogprob {
  readonly token: string;
  readonly token_id: number;
  readonly logprob: number;
  readonly top_logprobs: readonly {
    readonly token: string;
    readonly token_id: number;
    readonly logprob: number;
  }[];
}

/** Why an answer ended. */
export type FinishReason = 'stop' | 'length' | 'abort';

/** A whole answer. */
export interface ChatCompletion {
  readonly id: string;
  readonly object: 'chat.completion';
  readonly created: number;
  readonly model: string;
  readonly choices: readonly {
    readonly index: number;
    readonly message: { readonly role: 'assistant'; readonly content: string };
    readonly finish_reason: FinishReason;
    readonly logprobs: { readonly content: readonly TokenLogprob[] } | null;
  }[];
  readonly usage: Usage;
}

/** A piece of a streamed answer. */
export interface ChatCompletionChunk {
  readonly id: string;
  readonly object: 'chat.completion.chunk';
  readonly created: number;
  readonly model: string;
  readonly choices: readonly {
    readonly index: number;
    readonly delta: { readonly role?: 'assistant'; readonly content?: string };
    readonly finish_reason: FinishReason | null;
    readonly logprobs?: { readonly content: readonly TokenLogprob[] } | null;
  }[];
  /** Only in the last chunk, when `stream_options.include_usage` asks for it. */
  readonly usage?: Usage;
}
