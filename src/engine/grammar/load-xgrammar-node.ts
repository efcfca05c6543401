import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import type { XGrammar } from './xgrammar.ts';

// The library is a script for all kinds of loaders that calls itself an ES module: Node would find no export in it.
const HEAD = `import { createRequire } from 'node:module';
const require = createRequire('file:///'), __filename = '/xgrammar.js', module = { exports: {} }, { exports } = module;
`;
const TAIL = '\nexport default module.exports;';

let text: string | undefined;
let count = 0;

/** Loads the library in Node. */
export async function loadXGrammarInNode(): Promise<XGrammar> {
  text ??= await readFile(createRequire(import.meta.url).resolve('@mlc-ai/web-xgrammar'), 'utf8');
  const source = encodeURIComponent(HEAD + text.replace(/\n\/\/# sourceMappingURL=.*/, '') + TAIL);
  // The part behind `#` makes it another module of the same text.
  const { default: library } = (await import(
    /* @vite-ignore */ `data:text/javascript,${source}#${++count}`
  )) as { default: XGrammar };
  return library;
}
