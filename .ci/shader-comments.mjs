import { readFile } from 'node:fs/promises';

/** Spaces around punctuation, and around operators between two names, numbers or brackets: no other token comes of it. */
const SPACES =
  /(?<=[(){};,:]) | (?=[(){};,])|(?<=[\w)\]]) (?=(?:[-+*/]?=|[-+*/%&|]|==|&&|\|\||->) [\w(])|(?<=[\w)\]] (?:[-+*/]?=|[-+*/%&|]|==|&&|\|\||->)) (?=[\w(])/g;

/**
 * A shader's text without comments, indentation and most other spaces, line for line, so that a compiler's complaint
 * still names the line of the file. WGSL has no string literals, so `//` is always a comment.
 *
 * @param {string} text
 * @returns {string}
 */
export function stripShaderComments(text) {
  return text
    .split('\n')
    .map((line) =>
      line
        .replace(/\/\/.*$/, '')
        .trim()
        .replace(SPACES, ''),
    )
    .join('\n');
}

/**
 * Builds take shaders in without what only readers need: 16 kB of the package after compression.
 *
 * @returns {import('vite').Plugin}
 */
export function withoutShaderComments() {
  return {
    name: 'without-shader-comments',
    apply: 'build',
    enforce: 'pre',
    async load(id) {
      if (!id.endsWith('.wgsl?raw')) return;
      const text = await readFile(id.slice(0, -'?raw'.length), 'utf8');
      return `export default ${JSON.stringify(stripShaderComments(text))}`;
    },
  };
}
