import type { Tokenizer } from '../../tokenizer/tokenizer.ts';
import type { GrammarVocabulary } from './grammar-compiler.ts';

/** What a grammar must know of a tokenizer. Control tokens are left out: in an answer they are no text. */
export function toVocabulary(tokenizer: Tokenizer, stopTokenIds: readonly number[]): GrammarVocabulary {
  const tokens = Array.from({ length: tokenizer.vocabSize }, (_, id) =>
    tokenizer.specialIds.has(id) ? '' : (tokenizer.idToToken(id) ?? ''),
  );
  return { tokens, stopTokenIds: stopTokenIds.filter((id) => id < tokens.length) };
}
