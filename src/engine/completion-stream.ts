import type { StopStrings } from '../sampling/stop-strings.ts';
import type { StreamDecoder } from '../tokenizer/stream-decoder.ts';
import type { TokenFinish } from './answer.ts';

/** What one token added to an answer. */
export interface CompletionStep {
  /** Text that is certain to be part of the answer. */
  readonly text: string;
  /** Set with the last step. */
  readonly finishReason: TokenFinish | undefined;
}

/** What ends an answer and how its ids become text. */
export interface CompletionRules {
  /** Absent for models without a tokenizer: the text stays empty. */
  readonly decoder: StreamDecoder | undefined;
  readonly stops: StopStrings;
  /** Ids that end the answer and are not part of its text. */
  readonly eosTokenIds: ReadonlySet<number>;
  readonly maxTokens: number;
}

/** Turns the ids of one answer into text, and knows when it ends. */
export class CompletionStream {
  readonly #rules: CompletionRules;
  #count = 0;

  constructor(rules: CompletionRules) {
    this.#rules = rules;
  }

  get eosTokenIds(): ReadonlySet<number> {
    return this.#rules.eosTokenIds;
  }

  /** Takes the next id; after a step with a finish reason no more may come. */
  push(id: number): CompletionStep {
    const { decoder, stops, eosTokenIds, maxTokens } = this.#rules;
    this.#count++;
    if (eosTokenIds.has(id)) return { text: this.#rest(), finishReason: 'stop' };
    const { text, stopped } = stops.push(decoder?.push(id) ?? '');
    if (stopped !== undefined) return { text, finishReason: 'stop' };
    if (this.#count < maxTokens) return { text, finishReason: undefined };
    return { text: text + this.#rest(), finishReason: 'length' };
  }

  /** What was held back when the answer ends here. */
  #rest(): string {
    const { decoder, stops } = this.#rules;
    const { text } = stops.push(decoder?.flush() ?? '');
    return text + stops.flush().text;
  }
}
