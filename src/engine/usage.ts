import type { AnswerSummary } from './answer.ts';
import type { Usage } from './openai.ts';

/** What all choices of a request took; the prompt counts once. */
export function toUsage(summaries: readonly AnswerSummary[], reasoningTokens?: number): Usage {
  const [first] = summaries;
  const promptTokens = first?.promptTokens ?? 0;
  const completionTokens = summaries.reduce((sum, one) => sum + one.completionTokens, 0);
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    prompt_tokens_details: { cached_tokens: first?.cachedTokens ?? 0 },
    ...(reasoningTokens !== undefined && {
      completion_tokens_details: { reasoning_tokens: reasoningTokens },
    }),
    ...(first && { extra: first.timings }),
  };
}
