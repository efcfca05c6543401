import type { RankedToken } from '../model/ranked-token.ts';
import type { SamplingRequest } from '../sampling/settings.ts';
import type { TokenConstraint } from '../model/token-constraint.ts';
import type { Prompt, PromptBuilder } from './chat-prompt.ts';
import type { CallOptions, EngineInfo } from './engine.ts';
import type { ModelTexts } from './model-texts.ts';
import type { GrammarConstraint } from './grammar/grammar-compiler.ts';
import type { GrammarSpec } from './grammar/grammar-spec.ts';
import type { AnswerSummary, TokenFinish } from './answer-metrics.ts';

export type { AnswerFinish, AnswerMetrics, AnswerSummary, TokenFinish } from './answer-metrics.ts';

/** One token of an answer as the engine reports it to its interfaces. */
export interface AnswerToken {
  readonly id: number;
  readonly text: string;
  /** Natural log of its raw probability; only when asked for. */
  readonly logprob?: number;
  /** Its best alternatives, most likely first; only when asked for. */
  readonly top?: readonly RankedToken[];
  readonly finishReason: TokenFinish | undefined;
}

/** What generates answers; OpenAI's and other interfaces are built on it. */
export interface AnswerEngine {
  readonly info: EngineInfo;
  readonly prompts: PromptBuilder;
  readonly texts: ModelTexts;
  answer(
    prompt: Prompt,
    options: AnswerOptions,
    callOptions?: AnswerCallOptions,
  ): AsyncGenerator<AnswerToken, AnswerSummary>;
  /**
   * A constraint that holds one answer to a form.
   *
   * @throws AutoglmError `request-invalid` that names the request's field `param`
   */
  constrain(spec: GrammarSpec, param: string): Promise<GrammarConstraint>;
}

/** What an interface gives with a request beyond the caller's own options. */
export interface AnswerCallOptions extends CallOptions {
  /** Id of the completion that the answer belongs to. */
  readonly completionId?: string | undefined;
  /** Decides which tokens may come next; made for this one answer. */
  readonly constraint?: TokenConstraint | undefined;
}

/** The fields of a request that do not concern the prompt. */
export interface AnswerOptions extends SamplingRequest {
  readonly max_tokens?: number | null | undefined;
  readonly stop?: string | readonly string[] | null | undefined;
  readonly ignore_eos?: boolean | null | undefined;
}
