import { AnswerParser, type AnswerPart } from './answer-parser.ts';
import type { AnswerToken } from './answer.ts';
import type { ChatPlan } from './chat-request.ts';
import type {
  AnswerDelta,
  AnswerMessage,
  ChoiceLogprobs,
  FinishReason,
  TokenLogprob,
  ToolCall,
  ToolCallDelta,
} from './openai.ts';

/** What one token adds to a choice. */
export interface ChoiceStep {
  readonly deltas: readonly AnswerDelta[];
  readonly finishReason: FinishReason | undefined;
}

/** One choice of an answer while it is written: its deltas, and its whole message at the end. */
export class ChatChoice {
  readonly #parser: AnswerParser;
  readonly #hidesReasoning: boolean;
  #content = '';
  #reasoning = '';
  readonly #calls: { id: string; name: string; arguments: string }[] = [];
  readonly #logprobs: TokenLogprob[] = [];
  #finishReason: FinishReason | undefined;
  /** Tokens that came while the model thought. */
  reasoningTokens = 0;

  constructor({ form, hidesReasoning }: Pick<ChatPlan, 'form' | 'hidesReasoning'>) {
    this.#parser = new AnswerParser(form);
    this.#hidesReasoning = hidesReasoning;
  }

  take({ text, finishReason }: AnswerToken, logprob: TokenLogprob | undefined): ChoiceStep {
    if (logprob) this.#logprobs.push(logprob);
    const parts = this.#parser.push(text);
    if (finishReason) parts.push(...this.#parser.flush());
    if (parts.some(({ type }) => type === 'reasoning')) this.reasoningTokens++;
    const deltas = parts.flatMap((part) => this.#toDelta(part));
    // A call that was cut off is one whose arguments are not whole: the length says so.
    if (finishReason)
      this.#finishReason = finishReason === 'stop' && this.#calls.length > 0 ? 'tool_calls' : finishReason;
    return { deltas, finishReason: this.#finishReason };
  }

  /** Ends a choice whose tokens did not end by themselves; gives what was held back. */
  end(finishReason: FinishReason): readonly AnswerDelta[] {
    this.#finishReason = finishReason;
    return this.#parser.flush().flatMap((part) => this.#toDelta(part));
  }

  get finishReason(): FinishReason | undefined {
    return this.#finishReason;
  }

  get logprobs(): ChoiceLogprobs {
    return { content: this.#logprobs, refusal: null };
  }

  get message(): AnswerMessage {
    const calls = this.#calls.map(({ id, name, arguments: text }): ToolCall => ({
      id,
      type: 'function',
      function: { name, arguments: text },
    }));
    return {
      role: 'assistant',
      content: this.#content,
      refusal: null,
      ...(calls.length > 0 && { tool_calls: calls }),
      ...(this.#reasoning !== '' && { reasoning_content: this.#reasoning }),
    };
  }

  #toDelta(part: AnswerPart): AnswerDelta[] {
    switch (part.type) {
      case 'content':
        this.#content += part.text;
        return [{ content: part.text }];
      case 'reasoning':
        if (this.#hidesReasoning) return [];
        this.#reasoning += part.text;
        return [{ reasoning_content: part.text }];
      case 'call-begin': {
        const call = {
          id: `call_${crypto.randomUUID().replaceAll('-', '')}`,
          name: part.name,
          arguments: '',
        };
        this.#calls.push(call);
        return [toCallDelta(this.#calls.length - 1, { id: call.id, name: part.name, text: '' })];
      }
      case 'call-arguments': {
        const index = this.#calls.length - 1;
        const call = this.#calls[index];
        if (call) call.arguments += part.text;
        return [toCallDelta(index, { text: part.text })];
      }
    }
  }
}

function toCallDelta(index: number, call: { id?: string; name?: string; text: string }): AnswerDelta {
  const { id, name, text } = call;
  const delta: ToolCallDelta = {
    index,
    ...(id !== undefined && { id, type: 'function' as const }),
    function: { ...(name !== undefined && { name }), arguments: text },
  };
  return { tool_calls: [delta] };
}
