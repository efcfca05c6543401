import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/**
 * @param {string} moduleUrl the module's `import.meta.url`, which Node has freed of symbolic links.
 * @returns {boolean} whether Node was started with this module, rather than a module that imports it.
 */
export function isMain(moduleUrl) {
  const started = process.argv[1];
  return started !== undefined && realpathSync(started) === fileURLToPath(moduleUrl);
}
