import { readFile } from 'node:fs/promises';

/**
 * Leaves the Plans of the CUDA backend out of the worker that pages load, where no device has one: 4 kB after compression.
 *
 * @returns {import('vite').Plugin}
 */
export function withoutCudaCompilers() {
  return {
    name: 'without-cuda-compilers',
    apply: 'build',
    enforce: 'pre',
    async load(id) {
      if (!/\/src\/model\/compile-cuda-\w+\.ts$/.test(id)) return;
      return withoutBodies(await readFile(id, 'utf8'));
    },
  };
}

/**
 * @param {string} text of a module that exports functions alone
 * @returns {string}
 */
export function withoutBodies(text) {
  const names = [...text.matchAll(/^export function (\w+)/gm)].map(([, name]) => name);
  return names.map((name) => `export function ${name}() { throw new Error('no CUDA here'); }\n`).join('');
}
