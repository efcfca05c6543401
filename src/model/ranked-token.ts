/** A token and the natural log of its raw probability. */
export interface RankedToken {
  readonly id: number;
  readonly logprob: number;
}
