import type { ChatCompletionRequest, ChatMessage } from './openai.ts';

/** What the user's next message begins with. */
export type NextMessage = 'any' | 'image';

/** What is known of a request that will come. */
export interface PrefillRequest extends Pick<
  ChatCompletionRequest,
  'messages' | 'tools' | 'tool_choice' | 'parallel_tool_calls'
> {
  /** The conversation as that request will have it, up to but without the user's next message. */
  readonly messages: readonly ChatMessage[];
  /** What the user's next message begins with: with `image` more of the prompt is certain. Default `any`. */
  readonly next?: NextMessage | undefined;
  /**
   * Id of an earlier completion whose conversation this one takes the place of, as when an agent drops the screenshot
   * that it has acted on: its part of the KV cache may be overwritten. Without it only unused room is taken.
   */
  readonly replaces?: string | undefined;
}

/** What came of it. */
export interface PrefillSummary {
  /** Tokens of the prompt that are certain. */
  readonly promptTokens: number;
  /** Of these, tokens that were in the KV cache before. */
  readonly cachedTokens: number;
  /** Of these, tokens that were computed; fewer than the rest when an answer was asked for meanwhile, or without room. */
  readonly computedTokens: number;
}

/** Where nothing can be computed ahead. */
export const NO_PREFILL: PrefillSummary = { promptTokens: 0, cachedTokens: 0, computedTokens: 0 };
