import { AutoglmError } from '../base/errors.ts';
import type { AnswerEngine, AnswerSummary, AnswerToken } from './answer.ts';
import { ChatChoice } from './chat-choice.ts';
import { parseChatRequest, type ChatPlan } from './chat-request.ts';
import type { CallOptions, ChatCompletions } from './engine.ts';
import { optionsOfChoice } from './generation-request.ts';
import { mergeAnswers, type Merged } from './merge-answers.ts';
import type { ChatCompletion, ChatCompletionChunk, ChatCompletionRequest, TokenLogprob } from './openai.ts';
import { toTokenLogprob } from './token-logprobs.ts';
import { toUsage } from './usage.ts';

/** What a stream of answer tokens is called and where it belongs. */
interface Header {
  readonly id: string;
  readonly created: number;
  readonly model: string;
}

type Answers = AsyncGenerator<Merged<AnswerToken>, AnswerSummary[]>;

/** OpenAI's chat completions over an engine's answers. */
export class ChatCompletionService implements ChatCompletions {
  readonly #engine: AnswerEngine;

  constructor(engine: AnswerEngine) {
    this.#engine = engine;
  }

  create(
    request: ChatCompletionRequest & { stream: true },
    options?: CallOptions,
  ): Promise<AsyncIterable<ChatCompletionChunk>>;
  create(
    request: ChatCompletionRequest & { stream?: false | null | undefined },
    options?: CallOptions,
  ): Promise<ChatCompletion>;
  async create(
    request: ChatCompletionRequest,
    options: CallOptions = {},
  ): Promise<AsyncIterable<ChatCompletionChunk> | ChatCompletion> {
    const plan = parseChatRequest(request, this.#engine.info);
    const id = `chatcmpl-${crypto.randomUUID()}`;
    const answers = await this.#start(plan, id, options);
    const header: Header = {
      id,
      created: Math.floor(Date.now() / 1000),
      model: this.#engine.info.model,
    };
    return plan.stream ? this.#stream(header, answers, plan) : this.#collect(header, answers, plan);
  }

  /** Renders the prompt, compiles the form and begins all choices. */
  async #start(plan: ChatPlan, completionId: string, options: CallOptions): Promise<Answers> {
    const prompt = await this.#engine.prompts.fromMessages(plan.messages, {
      ...options,
      continuesLast: plan.continuesLast,
    });
    const indices = Array.from({ length: plan.choiceCount }, (_, index) => index);
    const constraints = await Promise.all(
      indices.map(() => plan.grammar && this.#engine.constrain(plan.grammar, plan.grammarParam)),
    );
    const leaving = new AbortController();
    const signals = options.signal ? [options.signal, leaving.signal] : [leaving.signal];
    const signal = AbortSignal.any(signals);
    const answers = indices.map((index) =>
      this.#engine.answer(prompt, optionsOfChoice(plan.options, index), {
        signal,
        completionId,
        constraint: constraints[index],
      }),
    );
    return disposing(
      mergeAnswers(answers, () => leaving.abort()),
      constraints,
    );
  }

  async *#stream(header: Header, answers: Answers, plan: ChatPlan): AsyncGenerator<ChatCompletionChunk> {
    const chunk = (choices: ChatCompletionChunk['choices']): ChatCompletionChunk => ({
      ...header,
      object: 'chat.completion.chunk',
      choices,
    });
    try {
      const choices = createChoices(plan);
      for (const index of choices.keys()) {
        yield chunk([{ index, delta: { role: 'assistant', content: '' }, finish_reason: null }]);
      }
      let next = await answers.next();
      while (!next.done) {
        const { index, item } = next.value;
        const logprob = this.#toLogprob(plan, item);
        const { deltas, finishReason } = (choices[index] as ChatChoice).take(item, logprob);
        const logprobs = logprob && { content: [logprob], refusal: null };
        // Tokens in the middle of a character or mark have no text yet; where log-probabilities go out they count.
        const shown = deltas.length === 0 && logprobs ? [{ content: '' }] : deltas;
        for (const [at, delta] of shown.entries()) {
          yield chunk([{ index, delta, finish_reason: null, logprobs: (at === 0 && logprobs) || null }]);
        }
        if (finishReason) yield chunk([{ index, delta: {}, finish_reason: finishReason }]);
        next = await answers.next();
      }
      for (const { index, deltas, finish } of endChoices(choices, next.value)) {
        for (const delta of deltas) yield chunk([{ index, delta, finish_reason: null }]);
        yield chunk([{ index, delta: {}, finish_reason: finish }]);
      }
      if (plan.includeUsage) yield { ...chunk([]), usage: toPlanUsage(plan, next.value, choices) };
    } finally {
      // Reached as well when the reader leaves the loop: the device stops.
      await answers.return(undefined as never);
    }
  }

  async #collect(header: Header, answers: Answers, plan: ChatPlan): Promise<ChatCompletion> {
    const choices = createChoices(plan);
    let next = await answers.next();
    while (!next.done) {
      const { index, item } = next.value;
      (choices[index] as ChatChoice).take(item, this.#toLogprob(plan, item));
      next = await answers.next();
    }
    endChoices(choices, next.value);
    return {
      ...header,
      object: 'chat.completion',
      choices: choices.map((choice, index) => {
        const { message, finishReason, logprobs } = choice;
        if (!finishReason) throw new AutoglmError('internal', 'The answer ended without a reason.');
        return { index, message, finish_reason: finishReason, logprobs: plan.logprobs ? logprobs : null };
      }),
      usage: toPlanUsage(plan, next.value, choices),
    };
  }

  #toLogprob(plan: ChatPlan, token: AnswerToken): TokenLogprob | undefined {
    return plan.logprobs ? toTokenLogprob(this.#engine.texts.tokenizer, token) : undefined;
  }
}

function createChoices(plan: ChatPlan): ChatChoice[] {
  return Array.from({ length: plan.choiceCount }, () => new ChatChoice(plan));
}

/** Ends the choices that were interrupted. */
function endChoices(choices: readonly ChatChoice[], summaries: readonly AnswerSummary[]) {
  return choices.flatMap((choice, index) => {
    const finish = summaries[index]?.finishReason;
    return choice.finishReason || !finish ? [] : [{ index, finish, deltas: choice.end(finish) }];
  });
}

function toPlanUsage(plan: ChatPlan, summaries: readonly AnswerSummary[], choices: readonly ChatChoice[]) {
  const reasoning = choices.reduce((sum, { reasoningTokens }) => sum + reasoningTokens, 0);
  return toUsage(summaries, plan.form.hasReasoning ? reasoning : undefined);
}

/** The answers, with their constraints freed at the end, however it comes. */
async function* disposing(
  answers: Answers,
  constraints: readonly ({ dispose(): void } | undefined)[],
): Answers {
  try {
    return yield* answers;
  } finally {
    for (const constraint of constraints) constraint?.dispose();
  }
}
