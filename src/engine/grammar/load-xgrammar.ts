import type { XGrammar } from './xgrammar.ts';

let count = 0;

/**
 * Loads the library in a page or worker. It is a script for all kinds of loaders, and leaves itself in a global.
 *
 * @param libraryUrl of a file of its own, not of a module of the bundle: one module has one instance, and a fault
 *   costs it.
 */
export async function loadXGrammar(libraryUrl: string): Promise<XGrammar> {
  const scope = globalThis as { xgrammar?: XGrammar | undefined };
  const before = scope.xgrammar;
  try {
    // The part behind `#` makes it another module of the same, cached file.
    count++;
    await import(/* @vite-ignore */ `${libraryUrl}#${count}`);
    return scope.xgrammar as XGrammar;
  } finally {
    scope.xgrammar = before;
  }
}
