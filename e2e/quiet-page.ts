/** Playwright's `test`, with a page that must stay quiet: an error in its console or out of its code fails the test. */
import { expect, test as base } from '@playwright/test';

export { expect };

export const test = base.extend<{ quietPage: void }>({
  quietPage: [
    async ({ page }, use) => {
      const errors: string[] = [];
      page.on('console', (message) => {
        if (message.type() === 'error') errors.push(`${message.text()} (${message.location().url})`);
      });
      page.on('pageerror', (error) => errors.push(error.stack ?? error.message));
      await use();
      expect(errors, 'errors in the console of the page').toEqual([]);
    },
    { auto: true },
  ],
});
