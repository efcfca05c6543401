import type { DecodeOptions, Tokenizer } from './tokenizer.ts';

/**
 * Turns ids into text as they come, in time linear in their bytes.
 *
 * A character whose bytes are spread over tokens comes out whole with the token that completes it. The
 * texts of all pushes and the flush are together what `Tokenizer.decode` gives for all ids.
 */
export class StreamDecoder {
  readonly #tokenizer: Pick<Tokenizer, 'tokenBytes' | 'specialIds'>;
  readonly #skipSpecialTokens: boolean;
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true });

  constructor(tokenizer: Pick<Tokenizer, 'tokenBytes' | 'specialIds'>, options: DecodeOptions = {}) {
    this.#tokenizer = tokenizer;
    this.#skipSpecialTokens = options.skipSpecialTokens ?? false;
  }

  /** Text that this id completes; often empty in the middle of a character. */
  push(id: number): string {
    if (this.#skipSpecialTokens && this.#tokenizer.specialIds.has(id)) return '';
    return this.#decoder.decode(this.#tokenizer.tokenBytes(id), { stream: true });
  }

  /** What is left: U+FFFD for a character that was never completed, else nothing. Ready for new ids. */
  flush(): string {
    return this.#decoder.decode();
  }
}
