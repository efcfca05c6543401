/**
 * Says which tokens an answer may go on with, such as a grammar does. It follows one answer from its first token:
 * `allowed` is asked before each token is sampled and `accept` told which one was.
 */
export interface TokenConstraint {
  /**
   * The tokens that may come next: bit `id % 32` of word `id / 32`, one word for each 32 ids that the tokenizer
   * knows (rounded up); undefined when all may. At least one is set. The words stay as they are until the next call.
   */
  allowed(): Promise<Uint32Array<ArrayBuffer> | undefined>;
  /** Takes the token that was sampled from `allowed`. */
  accept(tokenId: number): void;
  /** Frees what it holds. Idempotent. */
  dispose(): void;
}
