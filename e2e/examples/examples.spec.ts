/** Checks the packed tarball as strangers use it: built into each framework, and as a script of another origin. */
import type { Page } from '@playwright/test';
import type * as ScriptedEngine from '../../src/element/scripted-engine.test-support.ts';
import { expect, test } from '../quiet-page.ts';

const READY_TIMEOUT = 120_000;

// A whole load takes its time on the software adapter: two tests have it. Here it goes as far as what each build could
// break: the worker starts, finds its shaders, and proves on the GPU that the model fits.
for (const framework of ['react', 'vue', 'svelte']) {
  test(`${framework}: built from the tarball, it starts its worker, and properties and events arrive`, async ({
    page,
  }) => {
    // A worker of the tab's own, whose requests can be held.
    await page.addInitScript(() => Reflect.deleteProperty(window, 'SharedWorker'));
    await page.route('**/params_shard*', () => {});
    await open(page, framework);
    await expect(page.locator('autoglm-chat')).toContainText('fits, tried on this GPU', {
      timeout: READY_TIMEOUT,
    });
    await page.evaluate(async (url) => {
      const { createScriptedEngine } = (await import(url)) as typeof ScriptedEngine;
      const element = document.querySelector('autoglm-chat');
      if (element !== null) element.engine = createScriptedEngine({ answers: ['<answer>Hello!</answer>'] });
    }, `${process.env['AUTOGLM_EXAMPLES_URL']}/scripted-engine.js`);
    await ask(page);
    await expect(page.locator('output')).toContainText('assistant: ');
    await page.unrouteAll({ behavior: 'ignoreErrors' });
  });
}

test('a strict policy: built from the tarball, it loads the small model and chats', async ({ page }) => {
  await open(page, 'strict-csp');
  await chat(page);
  await expect(page.locator('output')).toContainText('assistant: ');
});

test('a script tag and a tag: element, worker and model come from another origin', async ({ page }) => {
  await page.goto(`${process.env['AUTOGLM_EXAMPLES_URL']}/cdn.html`);
  await chat(page);
  expect(page.workers().map((worker) => worker.url().split(':')[0])).toEqual(['blob']);
});

async function open(page: Page, example: string): Promise<void> {
  await page.goto(`${process.env['AUTOGLM_EXAMPLES_URL']}/${example}/dist/`);
  // The page's own style and the framework's property have come.
  await expect(page.locator('main')).toHaveCSS('display', 'grid');
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
  await ask(page);
}

async function ask(page: Page): Promise<void> {
  const input = page.getByRole('textbox', { name: 'Message' });
  await input.fill('Who are you?');
  await input.press('Enter');
  await expect(page.locator('autoglm-assistant-message')).toContainText('first token', {
    timeout: READY_TIMEOUT,
  });
}
