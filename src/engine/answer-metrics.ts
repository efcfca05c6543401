import type { GenerationTimings } from './openai.ts';

/** Why the tokens of an answer ended. */
export type TokenFinish = 'stop' | 'length';

/** Why an answer ended: its tokens did, or it was interrupted. */
export type AnswerFinish = TokenFinish | 'abort';

/** Counts and times of an answer, known at its end. */
export interface AnswerSummary {
  readonly promptTokens: number;
  /** Prompt tokens that the KV cache already held, or that another answer computed as well. */
  readonly cachedTokens: number;
  readonly completionTokens: number;
  /** `abort` when the answer was interrupted. */
  readonly finishReason: AnswerFinish;
  readonly timings: GenerationTimings;
}

/** What is told of every answer when it has ended, complete or not. */
export interface AnswerMetrics extends Omit<AnswerSummary, 'finishReason'> {
  /** `error` for a fault; a caller that aborts or leaves counts as `abort`. */
  readonly outcome: AnswerFinish | 'error';
}
