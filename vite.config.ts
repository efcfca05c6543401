import { readdirSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';
import { VitePWA } from 'vite-plugin-pwa';
import type { ViteUserConfig } from 'vitest/config';
import { WEB_MANIFEST } from './.ci/web-manifest.mjs';
import { PACKAGE_ENTRIES } from './.ci/package-entries.mjs';
import { withoutCudaCompilers } from './.ci/cuda-compilers.mjs';
import { withoutShaderComments } from './.ci/shader-comments.mjs';
import { withoutStyleComments } from './.ci/style-comments.mjs';

type BuildOptions = NonNullable<ViteUserConfig['build']>;

const toPath = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

const APP_BUILD: BuildOptions = {
  outDir: '../../dist/app',
  emptyOutDir: true,
  target: 'es2023',
  rolldownOptions: {
    input: readdirSync(toPath('src/demo'))
      .filter((name) => name.endsWith('.html'))
      .map((name) => toPath(`src/demo/${name}`)),
  },
};

/** The app's manifest, and its service worker with the list of files that it keeps. Weights are the engine's. */
const APP_PLUGINS = VitePWA({
  strategies: 'injectManifest',
  srcDir: '.',
  filename: 'service-worker.ts',
  injectRegister: false,
  manifest: WEB_MANIFEST,
  injectManifest: {
    rollupFormat: 'iife',
    globPatterns: [
      '*.html',
      '*.{svg,webmanifest}',
      'assets/*.{js,css,wasm}',
      'icons/*',
      'samples/*',
      'models/*/*.{json,jinja}',
    ],
    // Web-llm itself is several MB, and fetched only by pages that ask for its models.
    globIgnores: ['assets/web-llm-library-*.js'],
  },
});

/** `--mode node`: the command line. Packages stay outside; shaders and the like are inlined. */
const NODE_BUILD: BuildOptions = {
  outDir: '../../dist/node',
  emptyOutDir: true,
  copyPublicDir: false,
  target: 'node20',
  ssr: true,
  rolldownOptions: {
    input: {
      autoglm: toPath('src/cli/autoglm.ts'),
      helper: toPath('src/helper/index.ts'),
      'block-worker': toPath('src/cli/block-worker.ts'),
    },
    output: { entryFileNames: '[name].js', chunkFileNames: 'chunks/[name]-[hash].js' },
  },
};

/** `--mode package`: what npm gets, one file a module so that bundlers drop what is not used. */
const PACKAGE_BUILD: BuildOptions = {
  outDir: '../../dist/package',
  emptyOutDir: true,
  copyPublicDir: false,
  target: 'es2023',
  minify: false,
  lib: {
    formats: ['es'],
    entry: Object.fromEntries(PACKAGE_ENTRIES.map((entry) => [entry, toPath(`src/${entry}.ts`)])),
  },
  rolldownOptions: {
    // Packages are, and files of packages are not.
    external: (id) => /^[@a-z][^?]*$/i.test(id) && !isAbsolute(id),
    output: {
      preserveModules: true,
      preserveModulesRoot: toPath('src'),
      // npm leaves out every folder of that name.
      entryFileNames: ({ name }) => `${name.replace('node_modules/', 'packages/')}.js`,
      assetFileNames: 'assets/[name]-[hash][extname]',
    },
  },
};

/** `--mode cdn`: the element and its packages for a script tag, without a bundler. */
const CDN_BUILD: BuildOptions = {
  outDir: '../../dist/cdn',
  emptyOutDir: true,
  copyPublicDir: false,
  target: 'es2023',
  modulePreload: false,
  rolldownOptions: {
    input: { autoglm: toPath('src/index.ts') },
    preserveEntrySignatures: 'strict',
    output: { entryFileNames: '[name].js', chunkFileNames: 'chunks/[name]-[hash].js' },
  },
};

const BUILDS: Readonly<Record<string, BuildOptions>> = {
  node: NODE_BUILD,
  package: PACKAGE_BUILD,
  cdn: CDN_BUILD,
};

/** Opens CUDA where a test opens Dawn. */
const CUDA_FOR_DAWN = {
  find: /^.*\/webgpu-node\.ts$/,
  replacement: fileURLToPath(new URL('src/helper/cuda-as-node-device.test-support.ts', import.meta.url)),
};

/** Tests of what CUDA alone has, and those of the rest that do not ask for a WGSL kernel. */
const CUDA_TESTS = [
  'src/**/*.cuda.test.ts',
  'src/kernels/{adjust-logits,sample-token,top-logprobs}.gpu.test.ts',
  'src/kernels/{embed-tokens,embed-patches,fold-patch-weight,fill-random}.gpu.test.ts',
  'src/model/{parity,generate,weight-upload}.gpu.test.ts',
  'src/engine/{eval,local-engine}.gpu.test.ts',
];

/** The pages live in `src/demo`; the library and the command line are built from the same configuration. */
export default defineConfig(({ mode }) => ({
  root: 'src/demo',
  publicDir: '../../public',
  // Relative, so that the built page works in any folder of a server.
  base: './',
  // The worker's packages are found before the first page asks for them: found later, they would reload the page
  // in the middle of its first load.
  optimizeDeps: { entries: ['*.html', '../worker/engine-worker.ts', '../element/index.ts'] },
  plugins: [withoutShaderComments(), withoutStyleComments(), ...(mode === 'production' ? [APP_PLUGINS] : [])],
  build: BUILDS[mode] ?? APP_BUILD,
  worker: {
    format: 'es',
    plugins: () => [withoutShaderComments(), withoutCudaCompilers()],
    // A bundler that takes in the package copies the worker's script as it is: it has to be one small file.
    ...(mode === 'package' || mode === 'cdn'
      ? { rolldownOptions: { output: { codeSplitting: false, minify: true } } }
      : {}),
  },
  test: {
    root: '.',
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          root: '.',
          include: ['src/**/*.test.ts', '.ci/**/*.test.mjs'],
          exclude: ['src/**/*.{gpu,cuda}.test.ts'],
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
      {
        extends: true,
        // The same tests on the CUDA device, where it has the same kernels. Needs an NVIDIA GPU and `build:cuda`.
        resolve: { alias: [CUDA_FOR_DAWN] },
        test: {
          name: 'cuda',
          root: '.',
          include: CUDA_TESTS,
          environment: 'node',
          env: { AUTOGLM_TESTS_ON: 'cuda' },
          testTimeout: 120_000,
          hookTimeout: 120_000,
          maxWorkers: 1,
        },
      },
    ],
  },
}));
