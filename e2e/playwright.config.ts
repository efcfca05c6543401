import { defineConfig } from '@playwright/test';
import { findBrowser } from '../.ci/browser.mjs';

/** `npm test` picks a free port; one fixed number serves a run by hand. */
const PORT = process.env['AUTOGLM_E2E_PORT'] ?? '41734';
const BASE_URL = `http://127.0.0.1:${PORT}`;

const QUIET_FLAGS = [
  '--no-sandbox',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-domain-reliability',
  '--disable-sync',
  '--no-pings',
  // The project needs no network once it is served: whoever asks for another host gets an error, also in tests.
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost',
];

const SOFTWARE_FLAGS = ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'];

/** Chrome on Linux offers a real GPU to WebGPU only through Vulkan, which it keeps switched off by default. */
const GPU_FLAGS = [
  '--enable-unsafe-webgpu',
  '--ignore-gpu-blocklist',
  '--enable-features=Vulkan',
  '--use-angle=vulkan',
  '--use-vulkan=native',
  '--disable-vulkan-surface',
];

const executablePath = await getBrowser();

async function getBrowser(): Promise<string> {
  const path = await findBrowser();
  if (!path) throw new Error('No Chrome or Chromium was found: run `npm test`, or set CHROME_PATH.');
  return path;
}

function launchWith(flags: string[]) {
  return { launchOptions: { executablePath, args: [...QUIET_FLAGS, ...flags] } };
}

/**
 * Each project starts with a test of its adapter alone, on which the others depend: without the right adapter the
 * rest would only show twenty time-outs, or pass on the wrong one.
 */
export default defineConfig({
  testDir: '.',
  outputDir: '../test-results',
  snapshotPathTemplate: '{testDir}/{testFileDir}/baselines/{arg}{ext}',
  // The software adapter uses every core already.
  workers: 1,
  forbidOnly: Boolean(process.env['CI']),
  timeout: 180_000,
  expect: { timeout: 60_000 },
  reporter: process.env['PLAYWRIGHT_JSON_OUTPUT_FILE'] ? [['list'], ['json']] : [['list']],
  use: {
    baseURL: BASE_URL,
    headless: false,
    viewport: { width: 1280, height: 800 },
    screenshot: 'only-on-failure',
    trace: 'retain-on-failure',
  },
  projects: [
    { name: 'software adapter', testMatch: 'adapter.spec.ts', use: launchWith(SOFTWARE_FLAGS) },
    {
      name: 'software',
      // The examples have a configuration of their own.
      testIgnore: ['adapter.spec.ts', 'examples/**'],
      dependencies: ['software adapter'],
      use: launchWith(SOFTWARE_FLAGS),
    },
    { name: 'gpu adapter', testMatch: 'adapter.spec.ts', use: launchWith(GPU_FLAGS) },
    {
      name: 'gpu',
      testIgnore: ['adapter.spec.ts', 'examples/**'],
      dependencies: ['gpu adapter'],
      use: launchWith(GPU_FLAGS),
    },
  ],
  webServer: {
    command: `node node_modules/vite/bin/vite.js --host 127.0.0.1 --port ${PORT} --strictPort`,
    cwd: '..',
    port: Number(PORT),
    timeout: 60_000,
  },
});
