/**
 * Decides which tokens may come next in one answer: a grammar, say. The sampler asks before each token and tells
 * after it, so a constrained answer has one decode step in flight. One constraint serves one answer.
 */
export interface TokenConstraint {
  /**
   * The tokens that may come next: bit `id % 32` of word `id / 32`, [ceil(V / 32)]; shorter masks ban what they
   * leave out. Undefined allows every token. The words are copied before the next call.
   */
  nextMask(): TokenMask | undefined | Promise<TokenMask | undefined>;
  /**
   * Changes the logits [V] of the next token, in place or as new ones, before the mask and the sampler's settings.
   * Absent leaves them on the device.
   */
  processLogits?(logits: Float32Array<ArrayBuffer>): Float32Array | Promise<Float32Array>;
  /** Takes the token that was chosen. What it throws ends the answer. */
  accept(tokenId: number): void;
}

/** Words of a bit mask over the vocabulary. */
export type TokenMask = Uint32Array<ArrayBuffer> | Int32Array<ArrayBuffer>;
