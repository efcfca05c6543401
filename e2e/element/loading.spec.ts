/** Checks consent, progress and failure of a load with the real engine, and that elements share one. */
import type { Page } from '@playwright/test';
import { expect, test } from '../quiet-page.ts';
import { openElement } from './element-page.ts';

const LOAD_TIMEOUT = 120_000;

test('nothing heavy is fetched before consent, and the poster says what it will cost', async ({ page }) => {
  const asked = recordRequests(page);
  const element = await openElement(page);
  await expect(element.chat).toContainText('autoglm-tiny-q4f16_1');
  await expect(element.chat).toContainText('7.6 MB');
  await page.waitForTimeout(300);
  expect(asked.filter((url) => url.includes('params_shard'))).toEqual([]);
  expect(page.workers()).toEqual([]);
  await expect(element.button('Send')).toBeDisabled();

  await element.button('Load AutoGLM').click();
  await expect(element.button('Load AutoGLM')).toBeHidden();
  await expect(page.getByRole('button', { name: /^Backend: / })).toBeVisible({ timeout: LOAD_TIMEOUT });
  expect(asked.filter((url) => url.includes('params_shard')).length).toBeGreaterThan(0);
});

test('a load shows its steps, and Cancel ends it', async ({ page }) => {
  await page.route('**/params_shard*', async (route) => {
    await new Promise((resolve) => setTimeout(resolve, 5000));
    await route.continue().catch(() => {});
  });
  const element = await openElement(page);
  await element.button('Load AutoGLM').click();
  await expect(page.getByRole('progressbar')).toBeVisible();
  await expect(
    page
      .getByRole('listitem')
      .filter({ hasText: /Checking|Downloading/ })
      .first(),
  ).toBeVisible();
  await expect(element.chat).toContainText('so far');
  await element.button('Cancel').click();
  await expect(element.button('Load AutoGLM')).toBeVisible();
  await expect.poll(() => page.workers().length).toBe(0);
});

test('a turn that is sent while the model loads is answered when it is there', async ({ page }) => {
  const element = await openElement(page, { attributes: 'history-key="" loading="eager"' });
  await element.send('Who are you?');
  await expect(element.answers).toContainText('Waiting for the model');
  await expect(element.answers).toContainText('tok/s', { timeout: LOAD_TIMEOUT });
});

test('a broken model folder is told plainly, and another try works', async ({ page }) => {
  await page.route('**/tensor-cache.json', (route) => route.fulfill({ body: 'not a model' }));
  const element = await openElement(page);
  await element.button('Load AutoGLM').click();
  await expect(page.getByRole('alert')).toContainText('The model could not be loaded', { timeout: 30_000 });
  await page.getByText('Details').click();
  await expect(page.getByRole('alert')).toContainText('manifest-invalid');
  await page.unroute('**/tensor-cache.json');
  await element.button('Try again').click();
  await expect(page.getByRole('button', { name: /^Backend: / })).toBeVisible({ timeout: LOAD_TIMEOUT });
});

test('a browser without a GPU says what to do, in the language of the page', async ({
  playwright,
}, testInfo) => {
  const { launchOptions = {}, headless, baseURL } = testInfo.project.use;
  const kept = (launchOptions.args ?? []).filter((flag) => !/webgpu|vulkan|angle/i.test(flag));
  const browser = await playwright.chromium.launch({
    ...launchOptions,
    ...(headless === undefined ? {} : { headless }),
    args: [...kept, '--disable-gpu', '--disable-software-rasterizer'],
  });
  const page = await browser.newPage(baseURL === undefined ? {} : { baseURL });
  for (const [locale, title, retry] of [
    ['en', 'The browser finds no usable GPU', 'Try again'],
    ['zh', '浏览器找不到可用的显卡', '重试'],
  ] as const) {
    const element = await openElement(page, {
      attributes: `history-key="" loading="eager" locale="${locale}"`,
    });
    await expect(page.getByRole('alert')).toContainText(title, { timeout: 30_000 });
    await expect(page.getByRole('alert').getByRole('listitem')).not.toHaveCount(0);
    await expect(element.button(retry)).toBeVisible();
  }
  await browser.close();
});

test('two elements share one engine, and the last one frees it', async ({ page }) => {
  const element = await openElement(page);
  await page.evaluate(() => {
    const other = document.createElement('autoglm-chat');
    other.model = window.chat.model;
    other.historyKey = '';
    window.chat.after(other);
    Object.assign(window, { other });
    return Promise.all([window.chat.load(), other.load()]);
  });
  expect(page.workers()).toHaveLength(1);
  const texts = await page.evaluate(async () => {
    const { other } = window as unknown as { other: HTMLElementTagNameMap['autoglm-chat'] };
    const turns = await Promise.all([window.chat.send('Who are you?'), other.send('Who are you?')]);
    other.remove();
    return turns.map(({ text }) => text);
  });
  expect(texts[0]).toContain('phone agent');
  expect(texts[1]).toBe(texts[0]);
  expect(page.workers()).toHaveLength(1);
  await page.getByRole('button', { name: /^Backend: / }).click();
  await element.button('Unload').click();
  await expect(element.chat.getByText('not loaded')).toBeVisible();
  await expect.poll(() => page.workers().length).toBe(0);
});

function recordRequests(page: Page): string[] {
  const urls: string[] = [];
  page.on('request', (request) => urls.push(request.url()));
  return urls;
}
