import { AutoglmError } from '../base/errors.ts';
import type { AnswerEngine, AnswerSummary, AnswerToken } from './answer.ts';
import type { CallOptions, ChatCompletions } from './engine.ts';
import type {
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletionRequest,
  FinishReason,
  TokenLogprob,
  Usage,
} from './openai.ts';

/** What a stream of answer tokens is called and where it belongs. */
interface Header {
  readonly id: string;
  readonly created: number;
  readonly model: string;
}

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
    request: ChatCompletionRequest & { stream?: false | undefined },
    options?: CallOptions,
  ): Promise<ChatCompletion>;
  async create(
    request: ChatCompletionRequest,
    options: CallOptions = {},
  ): Promise<AsyncIterable<ChatCompletionChunk> | ChatCompletion> {
    const prompt = await this.#engine.prompts.fromMessages(request.messages, options);
    const answer = this.#engine.answer(prompt, request, options);
    const header: Header = {
      id: `chatcmpl-${crypto.randomUUID()}`,
      created: Math.floor(Date.now() / 1000),
      model: this.#engine.info.model,
    };
    if (!request.stream) return this.#collect(header, answer, request);
    return this.#stream(header, answer, request);
  }

  async *#stream(
    header: Header,
    answer: AsyncGenerator<AnswerToken, AnswerSummary>,
    request: ChatCompletionRequest,
  ): AsyncGenerator<ChatCompletionChunk> {
    const chunk = (choices: ChatCompletionChunk['choices']): ChatCompletionChunk => ({
      ...header,
      object: 'chat.completion.chunk',
      choices,
    });
    yield chunk([{ index: 0, delta: { role: 'assistant', content: '' }, finish_reason: null }]);
    try {
      let next = await answer.next();
      while (!next.done) {
        const token = next.value;
        const logprobs = request.logprobs ? { content: [this.#toLogprob(token)] } : null;
        // Tokens in the middle of a character have no text yet; they still count where log-probabilities go out.
        if (token.text !== '' || logprobs) {
          yield chunk([{ index: 0, delta: { content: token.text }, finish_reason: null, logprobs }]);
        }
        if (token.finishReason) yield chunk([{ index: 0, delta: {}, finish_reason: token.finishReason }]);
        next = await answer.next();
      }
      if (request.stream_options?.include_usage) yield { ...chunk([]), usage: toUsage(next.value) };
    } finally {
      // Reached as well when the reader leaves the loop: the device stops.
      await answer.return(undefined as never);
    }
  }

  async #collect(
    header: Header,
    answer: AsyncGenerator<AnswerToken, AnswerSummary>,
    request: ChatCompletionRequest,
  ): Promise<ChatCompletion> {
    const logprobs: TokenLogprob[] = [];
    let content = '';
    let finishReason: FinishReason | undefined;
    let next = await answer.next();
    while (!next.done) {
      content += next.value.text;
      finishReason = next.value.finishReason;
      if (request.logprobs) logprobs.push(this.#toLogprob(next.value));
      next = await answer.next();
    }
    if (!finishReason) throw new AutoglmError('internal', 'The answer ended without a reason.');
    return {
      ...header,
      object: 'chat.completion',
      choices: [
        {
          index: 0,
          message: { role: 'assistant', content },
          finish_reason: finishReason,
          logprobs: request.logprobs ? { content: logprobs } : null,
        },
      ],
      usage: toUsage(next.value),
    };
  }

  #toLogprob({ id, logprob = 0, top = [] }: AnswerToken): TokenLogprob {
    return {
      token: this.#tokenText(id),
      token_id: id,
      logprob,
      top_logprobs: top.map(({ id: topId, logprob: value }) => ({
        token: this.#tokenText(topId),
        token_id: topId,
        logprob: value,
      })),
    };
  }

  #tokenText(id: number): string {
    return this.#engine.texts.tokenizer?.decode([id]) ?? '';
  }
}

function toUsage({ promptTokens, completionTokens, timings }: AnswerSummary): Usage {
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    extra: timings,
  };
}
