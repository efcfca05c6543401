/** Checks the packed tarball as strangers use it: built into each framework, and as a script of another origin. */
import type { Page } from '@playwright/test';
import { expect, test } from '../quiet-page.ts';

const READY_TIMEOUT = 120_000;

for (const framework of ['react', 'vue', 'svelte', 'strict-csp']) {
  test(`${framework}: built from the tarball, it loads the small model and chats`, async ({ page }) => {
    await page.goto(`${process.env['AUTOGLM_EXAMPLES_URL']}/${framework}/dist/`);
    await expectExamples(page);
    await chat(page);
    await expect(page.locator('output')).toContainText('assistant: ');
  });
}

test('a script tag and a tag: element, worker and model come from another origin', async ({ page }) => {
  await page.goto(`${process.env['AUTOGLM_EXAMPLES_URL']}/cdn.html`);
  await chat(page);
  expect(page.workers().map((worker) => worker.url().split(':')[0])).toEqual(['blob']);
});

async function expectExamples(page: Page): Promise<void> {
  await expect
    .poll(() => page.evaluate(() => document.querySelector('autoglm-chat')?.examples?.length))
    .toBe(1);
}

async function chat(page: Page): Promise<void> {
  await expect(page.getByRole('button', { name: /^Backend:/ })).toBeVisible({ timeout: READY_TIMEOUT });
  // A few tokens show as much as many, and the software adapter takes its time.
  await page.evaluate(() => {
    const element = document.querySelector('autoglm-chat');
    if (element !== null) element.generation = { max_tokens: 6 };
  });
  const input = page.getByRole('textbox', { name: 'Message' });
  await input.fill('Who are you?');
  await input.press('Enter');
  await expect(page.locator('autoglm-assistant-message')).toContainText('first token', {
    timeout: READY_TIMEOUT,
  });
}
