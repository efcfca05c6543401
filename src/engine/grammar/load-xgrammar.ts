import { isServiceWorker } from '../../base/service-worker-scope.ts';
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
    if (isServiceWorker()) await evaluate(libraryUrl);
    else await import(/* @vite-ignore */ `${libraryUrl}#${count}`);
    return scope.xgrammar as XGrammar;
  } finally {
    scope.xgrammar = before;
  }
}

/** Runs the script where nothing may be imported after the start. */
async function evaluate(libraryUrl: string): Promise<void> {
  const response = await fetch(libraryUrl);
  if (!response.ok) throw new Error(`${libraryUrl} answers ${response.status}`);
  // oxlint-disable-next-line no-new-func, no-implied-eval
  new Function(await response.text()).call(globalThis);
}
