import { defineConfig } from '@playwright/test';
import { findBrowser } from '../../.ci/browser.mjs';

/** Runs the storage tests alone and without a window: they need no graphics. */
export default defineConfig({
  testDir: '.',
  testMatch: process.env['AUTOGLM_BENCH'] ? '*.bench.ts' : '*.spec.ts',
  outputDir: '../../test-results/storage',
  workers: 1,
  timeout: 60_000,
  reporter: [['list']],
  use: {
    headless: true,
    launchOptions: { executablePath: (await findBrowser()) ?? '/usr/bin/chromium', args: ['--no-sandbox'] },
  },
});
