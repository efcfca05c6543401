import type { Tokenizer } from '../tokenizer/tokenizer.ts';
import type { AnswerToken } from './answer.ts';
import type { RankedTokenText, TokenLogprob } from './openai.ts';

/** A token's log-probability and its alternatives, in OpenAI's form. */
export function toTokenLogprob(tokenizer: Tokenizer | undefined, token: AnswerToken): TokenLogprob {
  const { id, logprob = 0, top = [] } = token;
  return {
    ...toRanked(tokenizer, id, logprob),
    top_logprobs: top.map((one) => toRanked(tokenizer, one.id, one.logprob)),
  };
}

function toRanked(tokenizer: Tokenizer | undefined, id: number, logprob: number): RankedTokenText {
  return {
    token: tokenizer?.decode([id]) ?? '',
    bytes: tokenizer ? [...tokenizer.tokenBytes(id)] : [],
    token_id: id,
    logprob,
  };
}
