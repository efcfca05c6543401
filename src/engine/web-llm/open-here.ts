import type { Engine } from '../engine.ts';
import type { EngineOptions } from '../engine-options.ts';
import { getGrammarLibraryUrl } from '../grammar/library-url.ts';
import { openBrowserEngine } from '../open-browser-engine.ts';

/** Opens an engine in the calling thread: a worker's, or a page's whose logit processor must reach the logits. */
export function openEngineHere(options: EngineOptions): Promise<Engine> {
  return openBrowserEngine({ grammarLibraryUrl: getGrammarLibraryUrl(), ...options });
}
