import type { AnswerEngine, AnswerSummary, AnswerToken } from './answer.ts';
import type { Prompt } from './chat-prompt.ts';
import { parseCompletionRequest, type CompletionPlan } from './completion-request.ts';
import type { CallOptions, TextCompletions } from './engine.ts';
import { optionsOfChoice } from './generation-request.ts';
import type { GrammarConstraint } from './grammar/grammar-compiler.ts';
import { mergeAnswers, type Merged } from './merge-answers.ts';
import type { Completion, CompletionLogprobs, CompletionRequest } from './openai.ts';
import { toTokenLogprob } from './token-logprobs.ts';
import { toUsage } from './usage.ts';

type Answers = AsyncGenerator<Merged<AnswerToken>, AnswerSummary[]>;
type Choice = Completion['choices'][number];

/** OpenAI's text completions over an engine's answers: choice `p * n + i` is the i-th answer to prompt p. */
export class TextCompletionService implements TextCompletions {
  readonly #engine: AnswerEngine;

  constructor(engine: AnswerEngine) {
    this.#engine = engine;
  }

  create(
    request: CompletionRequest & { stream: true },
    options?: CallOptions,
  ): Promise<AsyncIterable<Completion>>;
  create(
    request: CompletionRequest & { stream?: false | null | undefined },
    options?: CallOptions,
  ): Promise<Completion>;
  async create(
    request: CompletionRequest,
    options: CallOptions = {},
  ): Promise<AsyncIterable<Completion> | Completion> {
    const plan = parseCompletionRequest(request, this.#engine.info);
    const { tokenizer } = this.#engine.texts;
    const prompts = plan.prompts.map((prompt) =>
      typeof prompt === 'string'
        ? this.#engine.prompts.fromText(prompt)
        : this.#engine.prompts.fromTokens(prompt, []),
    );
    const echoes = plan.prompts.flatMap((prompt) => {
      const text = typeof prompt === 'string' ? prompt : (tokenizer?.decode(prompt) ?? '');
      return Array.from({ length: plan.choiceCount }, () => (plan.echo ? text : ''));
    });
    const answers = this.#answer(plan, prompts, options);
    const header = {
      id: `cmpl-${crypto.randomUUID()}`,
      object: 'text_completion',
      created: Math.floor(Date.now() / 1000),
      model: this.#engine.info.model,
    } as const;
    return plan.stream
      ? this.#stream(header, answers, plan, echoes)
      : this.#collect(header, answers, plan, echoes);
  }

  async *#answer(plan: CompletionPlan, prompts: readonly Prompt[], options: CallOptions): Answers {
    const constraints: GrammarConstraint[] = [];
    const leaving = new AbortController();
    const signal = AbortSignal.any(options.signal ? [options.signal, leaving.signal] : [leaving.signal]);
    try {
      const answers: AsyncGenerator<AnswerToken, AnswerSummary>[] = [];
      for (const prompt of prompts) {
        for (let index = 0; index < plan.choiceCount; index++) {
          const constraint = plan.grammar && (await this.#engine.constrain(plan.grammar, 'response_format'));
          if (constraint) constraints.push(constraint);
          answers.push(
            this.#engine.answer(prompt, optionsOfChoice(plan.options, index), { signal, constraint }),
          );
        }
      }
      return yield* mergeAnswers(answers, () => leaving.abort());
    } finally {
      for (const constraint of constraints) constraint.dispose();
    }
  }

  async *#stream(
    header: Omit<Completion, 'choices'>,
    answers: Answers,
    plan: CompletionPlan,
    echoes: readonly string[],
  ): AsyncGenerator<Completion> {
    try {
      let next = await answers.next();
      for (const [index, text] of echoes.entries()) {
        if (text !== '') yield { ...header, choices: [{ index, text, finish_reason: null, logprobs: null }] };
      }
      const offsets = echoes.map(({ length }) => length);
      while (!next.done) {
        const { index, item } = next.value;
        const { text, finishReason = null } = item;
        const logprobs = plan.logprobs ? this.#toLogprobs([item], offsets[index] ?? 0) : null;
        offsets[index] = (offsets[index] ?? 0) + text.length;
        if (text !== '' || logprobs || finishReason) {
          yield { ...header, choices: [{ index, text, finish_reason: finishReason, logprobs }] };
        }
        next = await answers.next();
      }
      for (const [index, { finishReason }] of next.value.entries()) {
        if (finishReason !== 'abort') continue;
        yield { ...header, choices: [{ index, text: '', finish_reason: finishReason, logprobs: null }] };
      }
      if (plan.includeUsage) yield { ...header, choices: [], usage: toPromptsUsage(plan, next.value) };
    } finally {
      await answers.return(undefined as never);
    }
  }

  async #collect(
    header: Omit<Completion, 'choices'>,
    answers: Answers,
    plan: CompletionPlan,
    echoes: readonly string[],
  ): Promise<Completion> {
    const tokens: AnswerToken[][] = echoes.map(() => []);
    let next = await answers.next();
    while (!next.done) {
      tokens[next.value.index]?.push(next.value.item);
      next = await answers.next();
    }
    const summaries = next.value;
    const choices = tokens.map((list, index): Choice => {
      const echo = echoes[index] ?? '';
      return {
        index,
        text: echo + list.map(({ text }) => text).join(''),
        finish_reason: summaries[index]?.finishReason ?? null,
        logprobs: plan.logprobs ? this.#toLogprobs(list, echo.length) : null,
      };
    });
    return { ...header, choices, usage: toPromptsUsage(plan, summaries) };
  }

  /** @param offset where the first token's text begins. */
  #toLogprobs(tokens: readonly AnswerToken[], offset: number): CompletionLogprobs {
    const { tokenizer } = this.#engine.texts;
    const logprobs = tokens.map((token) => toTokenLogprob(tokenizer, token));
    let at = offset;
    return {
      tokens: logprobs.map(({ token }) => token),
      token_ids: tokens.map(({ id }) => id),
      token_logprobs: logprobs.map(({ logprob }) => logprob),
      top_logprobs: logprobs.map(({ top_logprobs: top }) =>
        Object.fromEntries(top.map(({ token, logprob }) => [token, logprob])),
      ),
      text_offset: tokens.map(({ text }) => (at += text.length) - text.length),
    };
  }
}

/** Every prompt counts once, however many answers it gets. */
function toPromptsUsage({ choiceCount }: CompletionPlan, summaries: readonly AnswerSummary[]) {
  const usage = toUsage(summaries);
  const promptTokens = summaries
    .filter((_, index) => index % choiceCount === 0)
    .reduce((sum, one) => sum + one.promptTokens, 0);
  return {
    ...usage,
    prompt_tokens: promptTokens,
    total_tokens: promptTokens + usage.completion_tokens,
  };
}
