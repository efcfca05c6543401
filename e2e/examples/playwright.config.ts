import { defineConfig } from '@playwright/test';
import shared from '../playwright.config.ts';

const software = shared.projects?.find(({ name }) => name === 'software');

/** The examples as a stranger builds them: from the packed tarball, in a folder that knows nothing of this one. */
export default defineConfig({
  ...shared,
  testDir: '.',
  testIgnore: [],
  outputDir: '../../test-results/examples',
  globalSetup: './prepare.ts',
  projects: [{ ...software, name: 'software', testIgnore: [], dependencies: [] }],
  use: { ...shared.use, trace: 'off' },
  webServer: [],
});
