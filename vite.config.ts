import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import type { ViteUserConfig } from 'vitest/config';

type BuildOptions = NonNullable<ViteUserConfig['build']>;

const APP_BUILD: BuildOptions = { outDir: '../../dist/app', emptyOutDir: true, target: 'es2023' };

/** `--mode node`: the command line. Packages stay outside; shaders and the like are inlined. */
const NODE_BUILD: BuildOptions = {
  outDir: '../../dist/node',
  emptyOutDir: true,
  copyPublicDir: false,
  target: 'node20',
  ssr: true,
  rolldownOptions: {
    input: {
      autoglm: fileURLToPath(new URL('src/cli/autoglm.ts', import.meta.url)),
      'block-worker': fileURLToPath(new URL('src/cli/block-worker.ts', import.meta.url)),
    },
    output: { entryFileNames: '[name].js', chunkFileNames: 'chunks/[name]-[hash].js' },
  },
};

/** The pages live in `src/demo`; the library and the command line are built from the same configuration. */
export default defineConfig(({ mode }) => ({
  root: 'src/demo',
  publicDir: '../../public',
  // Relative, so that the built page works in any folder of a server.
  base: './',
  // The worker's packages are found before the first page asks for them: found later, they would reload the page
  // in the middle of its first load.
  optimizeDeps: { entries: ['*.html', '../worker/engine-worker.ts', '../element/index.ts'] },
  build: mode === 'node' ? NODE_BUILD : APP_BUILD,
  worker: { format: 'es' },
  test: {
    root: '.',
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          root: '.',
          include: ['src/**/*.test.ts', '.ci/**/*.test.mjs'],
          exclude: ['src/**/*.gpu.test.ts'],
          environment: 'node',
        },
      },
      {
        extends: true,
        test: {
          name: 'gpu',
          root: '.',
          include: ['src/**/*.gpu.test.ts'],
          environment: 'node',
          testTimeout: 120_000,
          hookTimeout: 120_000,
          // One process: every file opens the same software adapter, which already uses all cores.
          maxWorkers: 1,
        },
      },
    ],
  },
}));
