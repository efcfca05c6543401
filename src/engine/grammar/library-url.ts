// Named by the package's modules, and not by its worker's script: bundlers that take in the package copy what its
// modules name.
import libraryUrl from '@mlc-ai/web-xgrammar?url&no-inline';

/** Where the grammar library's script is, from a page or from a worker that a bundler made of the package's modules. */
export function getGrammarLibraryUrl(): string {
  const base = typeof document === 'undefined' ? globalThis.location.href : document.baseURI;
  return new URL(libraryUrl, base).href;
}
