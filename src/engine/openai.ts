/**
 * The part of OpenAI's chat-completions and completions surface that the engine speaks; names and shapes are
 * OpenAI's (`openai-types.test.ts` holds them against the official package), extras are marked as such.
 */

/** Text part of a message. */
export interface TextPart {
  readonly type: 'text';
  readonly text: string;
}

/** Image part of a message; `url` is a data, blob or http(s) URL. */
export interface ImagePart {
  readonly type: 'image_url';
  readonly image_url: {
    readonly url: string;
    /** `low` keeps a quarter of the pixels; all others what the model takes. */
    readonly detail?: 'auto' | 'low' | 'high' | 'original' | undefined;
  };
}

/** A part of a message's content. */
export type ContentPart = TextPart | ImagePart;

/** A function that the model asks to have called. */
export interface ToolCall {
  readonly id: string;
  readonly type: 'function';
  readonly function: {
    readonly name: string;
    /** JSON text. */
    readonly arguments: string;
  };
}

/** What sets the tone of a conversation; `developer` is OpenAI's newer name for `system`. */
export interface SystemMessage {
  readonly role: 'system' | 'developer';
  readonly content: string | readonly TextPart[];
  readonly name?: string;
}

/** What the user says, with images. */
export interface UserMessage {
  readonly role: 'user';
  readonly content: string | readonly ContentPart[];
  readonly name?: string;
}

/** An earlier answer; `content` may be absent beside tool calls. */
export interface AssistantMessage {
  readonly role: 'assistant';
  readonly content?: string | readonly TextPart[] | null | undefined;
  readonly name?: string;
  readonly tool_calls?: readonly ToolCall[] | undefined;
  /** Extra: what the model thought, where it was reported apart from the content. */
  readonly reasoning_content?: string | null | undefined;
  readonly refusal?: string | null | undefined;
}

/** What a called function returned. */
export interface ToolMessage {
  readonly role: 'tool';
  readonly content: string | readonly TextPart[];
  readonly tool_call_id: string;
}

/** One turn of a conversation. */
export type ChatMessage = SystemMessage | UserMessage | AssistantMessage | ToolMessage;

/** A JSON Schema. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** A function that the model may call. */
export interface Tool {
  readonly type: 'function';
  readonly function: {
    /** Up to 64 letters, digits, `_` and `-`. */
    readonly name: string;
    readonly description?: string | undefined;
    /** Schema of its arguments; absent: none. */
    readonly parameters?: JsonSchema | undefined;
    /** Arguments follow the schema in any case; `strict` forbids other properties than the schema names. */
    readonly strict?: boolean | null | undefined;
  };
}

/** Which tools the model may or must call. */
export type ToolChoice =
  | 'none'
  | 'auto'
  | 'required'
  | { readonly type: 'function'; readonly function: { readonly name: string } }
  | {
      readonly type: 'allowed_tools';
      readonly allowed_tools: {
        readonly mode: 'auto' | 'required';
        readonly tools: readonly Readonly<Record<string, unknown>>[];
      };
    };

/** The form of an answer. Everything but `text` is enforced while tokens are chosen. */
export type ResponseFormat = { readonly type: 'text' } | (AnswerForm & FormBeginning);

/** What every form may have beside itself. */
export interface FormBeginning {
  /** Extra: text that was said already, such as that of a message that is continued: with the answer it has the form. */
  readonly prefix?: string | undefined;
}

/** A form that is enforced. */
export type AnswerForm =
  /** Any JSON object; web-llm's extra: `schema`, a JSON Schema as text. */
  | { readonly type: 'json_object'; readonly schema?: string | undefined }
  | {
      readonly type: 'json_schema';
      readonly json_schema: {
        readonly name: string;
        readonly description?: string | undefined;
        readonly schema?: JsonSchema | undefined;
        /** Forbids other properties than the schema names. */
        readonly strict?: boolean | null | undefined;
      };
    }
  /** Extra, web-llm's: an EBNF grammar whose first rule is `root`. */
  | { readonly type: 'grammar'; readonly grammar: string }
  /** Extra: a regular expression that the whole answer matches. */
  | { readonly type: 'regex'; readonly regex: string }
  /** Extra, web-llm's: an xgrammar structural tag, as an object or JSON text. */
  | { readonly type: 'structural_tag'; readonly structural_tag: unknown };

/** Fields of both kinds of request that choose tokens and end answers; a null counts as absent. */
export interface GenerationRequest {
  readonly model?: string | null | undefined;
  readonly stream?: boolean | null | undefined;
  readonly stream_options?: StreamOptions | null | undefined;
  /** Most tokens to generate; default: what the context window leaves. */
  readonly max_tokens?: number | null | undefined;
  /** 0 is greedy. Default: the model's generation_config.json, else 1. */
  readonly temperature?: number | null | undefined;
  readonly top_p?: number | null | undefined;
  /** Extra: keep the k most likely tokens; 0 keeps all. */
  readonly top_k?: number | null | undefined;
  /** Extra: drop tokens below this share of the best token's probability. */
  readonly min_p?: number | null | undefined;
  readonly frequency_penalty?: number | null | undefined;
  readonly presence_penalty?: number | null | undefined;
  /** Extra: 1 is off. */
  readonly repetition_penalty?: number | null | undefined;
  readonly logit_bias?: Readonly<Record<string, number>> | null | undefined;
  /** Same seed, same text. Choice `i` of several gets `seed + i`. Default: random. */
  readonly seed?: number | null | undefined;
  /** Up to 16 strings; neither they nor a part of them are ever shown. */
  readonly stop?: string | readonly string[] | null | undefined;
  /** Answers to generate. Default 1. */
  readonly n?: number | null | undefined;
  /** Extra: generate past the end-of-text tokens. */
  readonly ignore_eos?: boolean | null | undefined;
  readonly user?: string | null | undefined;
}

/** What a stream carries besides the text. */
export interface StreamOptions {
  /** Ends the stream with a chunk that holds the usage and no choice. */
  readonly include_usage?: boolean | undefined;
  /** Accepted; nothing is obfuscated. */
  readonly include_obfuscation?: boolean | undefined;
}

/** A request for chat completions; all limits and defaults are OpenAI's unless said otherwise. */
export interface ChatCompletionRequest extends GenerationRequest {
  readonly messages: readonly ChatMessage[];
  /** OpenAI's newer name of `max_tokens`; wins over it. */
  readonly max_completion_tokens?: number | null | undefined;
  readonly logprobs?: boolean | null | undefined;
  /** 0 to 20 alternatives a token; needs `logprobs`. */
  readonly top_logprobs?: number | null | undefined;
  readonly response_format?: ResponseFormat | null | undefined;
  readonly tools?: readonly Tool[] | null | undefined;
  /** Default `auto` where there are tools. */
  readonly tool_choice?: ToolChoice | null | undefined;
  /** False: at most one call an answer. Default true. */
  readonly parallel_tool_calls?: boolean | null | undefined;
  /**
   * Extra: where the model's thinking goes. `raw` leaves it in the content as the model wrote it, `parsed` puts it
   * into `reasoning_content`, `hidden` drops it. Default `raw`.
   */
  readonly reasoning_format?: 'raw' | 'parsed' | 'hidden' | null | undefined;
  /** Extra, vLLM's: the last message is an assistant's and the answer goes on with its text. */
  readonly continue_final_message?: boolean | null | undefined;
  /** Extra, vLLM's: the opposite of `continue_final_message`. */
  readonly add_generation_prompt?: boolean | null | undefined;
  /** Hints of OpenAI and web-llm that change nothing here. */
  readonly reasoning_effort?: string | null | undefined;
  readonly verbosity?: string | null | undefined;
  readonly metadata?: Readonly<Record<string, string>> | null | undefined;
  readonly store?: boolean | null | undefined;
  readonly service_tier?: string | null | undefined;
  readonly extra_body?: Readonly<Record<string, unknown>> | null | undefined;
}

/** A request for plain text completions, without a chat template. */
export interface CompletionRequest extends GenerationRequest {
  /** Text, several texts, token ids, or several lists of them. */
  readonly prompt: string | readonly string[] | readonly number[] | readonly (readonly number[])[];
  /** Puts the prompt before each answer. */
  readonly echo?: boolean | null | undefined;
  /** OpenAI's count of alternatives, 0 to 20 here, or web-llm's true or false. */
  readonly logprobs?: number | boolean | null | undefined;
  /** Extra, web-llm's; needs `logprobs: true`. */
  readonly top_logprobs?: number | null | undefined;
  /** Extra: as in chat completions. */
  readonly response_format?: ResponseFormat | null | undefined;
}

/** Tokens of a request and its answer. */
export interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
  readonly prompt_tokens_details?: {
    /** Tokens of the prompt that the KV cache already held. */
    readonly cached_tokens: number;
  };
  readonly completion_tokens_details?: {
    /** Tokens of the thinking; only where it was parsed. */
    readonly reasoning_tokens: number;
  };
  /** Extra: where the time went; of the first choice. */
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

/** A token and the natural log of its probability. */
export interface RankedTokenText {
  readonly token: string;
  /** The token's bytes: a character may take several tokens. */
  readonly bytes: number[];
  /** Extra. */
  readonly token_id: number;
  readonly logprob: number;
}

/** How likely a token was, and what else might have come. */
export interface TokenLogprob extends RankedTokenText {
  readonly top_logprobs: RankedTokenText[];
}

/** Log-probabilities of a choice. */
export interface ChoiceLogprobs {
  readonly content: TokenLogprob[];
  readonly refusal: null;
}

/**
 * Why an answer ended: by itself or at a stop string, at its greatest length, to have functions called, or (an extra,
 * web-llm's) because it was interrupted.
 */
export type FinishReason = 'stop' | 'length' | 'tool_calls' | 'abort';

/** The message of a choice. */
export interface AnswerMessage {
  readonly role: 'assistant';
  /** Empty beside tool calls where nothing else was said. */
  readonly content: string;
  readonly refusal: null;
  readonly tool_calls?: ToolCall[];
  /** Extra: the thinking, where `reasoning_format` is `parsed`. */
  readonly reasoning_content?: string;
}

/** A whole answer. */
export interface ChatCompletion {
  readonly id: string;
  readonly object: 'chat.completion';
  readonly created: number;
  readonly model: string;
  readonly choices: {
    readonly index: number;
    readonly message: AnswerMessage;
    readonly finish_reason: FinishReason;
    readonly logprobs: ChoiceLogprobs | null;
  }[];
  readonly usage: Usage;
}

/** A piece of a tool call: the first of each call carries its id and name, later ones add to the arguments. */
export interface ToolCallDelta {
  readonly index: number;
  readonly id?: string;
  readonly type?: 'function';
  readonly function: { readonly name?: string; readonly arguments: string };
}

/** What a chunk adds to a choice's message. */
export interface AnswerDelta {
  readonly role?: 'assistant';
  readonly content?: string;
  readonly tool_calls?: ToolCallDelta[];
  readonly reasoning_content?: string;
}

/** A piece of a streamed answer. */
export interface ChatCompletionChunk {
  readonly id: string;
  readonly object: 'chat.completion.chunk';
  readonly created: number;
  readonly model: string;
  readonly choices: {
    readonly index: number;
    readonly delta: AnswerDelta;
    readonly finish_reason: FinishReason | null;
    readonly logprobs?: ChoiceLogprobs | null;
  }[];
  /** Only in the last chunk, when `stream_options.include_usage` asks for it. */
  readonly usage?: Usage;
}

/** Log-probabilities of a text completion, in OpenAI's older form: one entry a token. */
export interface CompletionLogprobs {
  readonly tokens: string[];
  readonly token_logprobs: number[];
  readonly top_logprobs: Record<string, number>[];
  /** Extra. */
  readonly token_ids: number[];
  /** Where each token begins in the text, in UTF-16 units. */
  readonly text_offset: number[];
}

/** A text completion, and a chunk of one: OpenAI gives both the same shape. */
export interface Completion {
  readonly id: string;
  readonly object: 'text_completion';
  readonly created: number;
  readonly model: string;
  readonly choices: {
    readonly index: number;
    readonly text: string;
    readonly finish_reason: 'stop' | 'length' | 'abort' | null;
    readonly logprobs: CompletionLogprobs | null;
  }[];
  readonly usage?: Usage;
}
