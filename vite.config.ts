import { defineConfig } from 'vitest/config';

/** The pages live in `src/demo`; the library and the command line are built from the same configuration. */
export default defineConfig({
  root: 'src/demo',
  publicDir: '../../public',
  build: { outDir: '../../dist/app', emptyOutDir: true, target: 'es2023' },
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
});
