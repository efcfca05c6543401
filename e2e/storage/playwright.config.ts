import { defineConfig } from '@playwright/test';
import { findBrowser } from '../../.ci/browser.mjs';

/** Runs the storage tests alone and without a window: they need no graphics. */
export default defineConfig({
  testDir: '.',
  outputDir: '../../test-results/storage',
  workers: 1,
  timeout: 60_000,
  reporter: [['list']],
  use: {
    headless: true,
    launchOptions: { executablePath: (await findBrowser()) ?? '/usr/bin/chromium', args: ['--no-sandbox'] },
  },
});
