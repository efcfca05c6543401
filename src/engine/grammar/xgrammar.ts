import type { GrammarCompiler, GrammarMatcher, Testings, TokenizerInfo } from '@mlc-ai/web-xgrammar';

/** What is used of the library; each load gives an instance with a memory of its own. */
export interface XGrammar {
  readonly GrammarCompiler: typeof GrammarCompiler;
  readonly GrammarMatcher: typeof GrammarMatcher;
  readonly Testings: typeof Testings;
  readonly TokenizerInfo: typeof TokenizerInfo;
}

/** Loads a fresh instance of the library: a fault inside it leaves its memory unusable. */
export type LoadXGrammar = () => Promise<XGrammar>;
