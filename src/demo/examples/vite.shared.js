import { fileURLToPath } from 'node:url';

/** What all examples share: the small model that comes with the package is served as it is. */
export default {
  publicDir: fileURLToPath(new URL('node_modules/autoglm-web/public', import.meta.url)),
  base: './',
  build: { emptyOutDir: true },
  // The package names its worker's script beside the module; a pre-bundled copy would look for it elsewhere.
  optimizeDeps: { exclude: ['autoglm-web'] },
};
