/** The Prompt API's own shapes, as far as they are used; `prompt-api-types.test.ts` holds them against Chromium's. */

/** Whether a model can be used now, or after a download. */
export type Availability = 'unavailable' | 'downloadable' | 'downloading' | 'available';

/** How surprising answers may be. */
export type SamplingMode =
  | 'most-predictable'
  | 'predictable'
  | 'slightly-predictable'
  | 'balanced'
  | 'slightly-creative'
  | 'creative'
  | 'most-creative';

/** A kind of input or output that a page means to use. */
export interface ExpectedContent {
  readonly type: 'text' | 'image' | 'audio';
  readonly languages?: readonly string[];
}

/** A function that the model may have called; its result is text. */
export interface PromptTool {
  readonly name: string;
  readonly description: string;
  readonly inputSchema: object;
  /** Is called with what the schema says. */
  execute(...args: readonly never[]): Promise<string>;
}

/** A part of a message: text, or a picture in any form that a page has. */
export interface PromptContent {
  readonly type: 'text' | 'image' | 'audio';
  readonly value: unknown;
}

/** A turn of a conversation. */
export interface PromptMessage {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string | readonly PromptContent[];
  /** The answer goes on with this text; only for the last message, and the assistant's. */
  readonly prefix?: boolean;
}

/** What is prompted: a user's text, or messages. */
export type PromptInput = string | readonly PromptMessage[];

/** What a session is to be capable of. */
export interface SessionCoreOptions {
  readonly expectedInputs?: readonly ExpectedContent[];
  readonly expectedOutputs?: readonly ExpectedContent[];
  readonly tools?: readonly PromptTool[];
  readonly samplingMode?: SamplingMode;
  readonly temperature?: number;
  readonly topK?: number;
}

/** How a session is created. */
export interface SessionOptions extends SessionCoreOptions {
  readonly signal?: AbortSignal;
  /** Gets an event target that tells of the download by `downloadprogress`. */
  readonly monitor?: (monitor: EventTarget) => void;
  readonly initialPrompts?: readonly PromptMessage[];
}

/** Options of one prompt. */
export interface PromptOptions {
  /** A JSON Schema or a regular expression that the answer matches. */
  readonly responseConstraint?: object;
  /** Keeps the constraint out of the prompt; the answer matches it all the same. */
  readonly omitResponseConstraintInput?: boolean;
  readonly signal?: AbortSignal;
}
