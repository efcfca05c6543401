/**
 * Builds take the element's styles in without what only readers need, comments and indentation: 1 kB of the package
 * after compression.
 *
 * @returns {import('vite').Plugin}
 */
export function withoutStyleComments() {
  return {
    name: 'without-style-comments',
    apply: 'build',
    enforce: 'pre',
    transform: (code, id) => (id.endsWith('.styles.ts') ? stripStyleComments(code) : undefined),
  };
}

/**
 * @param {string} code a module of nothing but styles, in which no string holds a comment's marks.
 * @returns {string}
 */
export function stripStyleComments(code) {
  return code.replace(/\/\*[^]*?\*\//g, '').replace(/\n\s+/g, '\n');
}
