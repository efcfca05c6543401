/** Checks consent, progress and failure of a load with the real engine, and that elements share one. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Page } from '@playwright/test';
import { PIECE_BYTES } from '../../src/storage/pieces.ts';
import { hashOf } from '../model-folder.ts';
import { expect, test } from '../quiet-page.ts';
import { openElement } from './element-page.ts';

const LOAD_TIMEOUT = 120_000;
/** Where a bad line breaks off: inside the shard's second piece. */
const BREAK_BYTES = 5_000_000;
const MODEL_FOLDER = fileURLToPath(new URL('../../public/models/autoglm-tiny-q4f16_1', import.meta.url));
const SHARD = join(MODEL_FOLDER, 'params_shard_0.bin');

test('nothing heavy is fetched before consent; then a load pauses and goes on', async ({ page }) => {
  const asked = recordRequests(page);
  let released = () => {};
  const held = new Promise<void>((resolve) => {
    released = resolve;
  });
  let shardCount = 0;
  await page.route('**/params_shard*', async (route) => {
    shardCount++;
    await held;
    await route.continue().catch(() => {});
  });
  const element = await openElement(page);
  await test.step('the poster says what it will cost', async () => {
    await expect(element.chat).toContainText('autoglm-tiny-q4f16_1');
    await expect(element.chat).toContainText('7.6 MB');
    await expect(element.chat).toContainText('Memory while it runs, context 4,096');
    await expect(element.chat).toContainText(/about [\d.]+ MB/);
    await page.waitForTimeout(300);
    expect(asked.filter((url) => /params_shard|engine-worker/.test(url))).toEqual([]);
    expect(page.workers()).toEqual([]);
    await expect(element.button('Send')).toBeDisabled();
  });
  await test.step('what it needs of the GPU is told before anything is downloaded', async () => {
    await element.button('Load AutoGLM').click();
    await expect(element.button('Load AutoGLM')).toBeHidden();
    await expect(element.chat).toContainText('fits, tried on this GPU', { timeout: LOAD_TIMEOUT });
  });
  await test.step('it pauses and goes on', async () => {
    await element.button('Pause').click();
    await expect(element.chat).toContainText('Paused');
    await expect.poll(() => page.workers().length).toBe(0);
    const countBefore = shardCount;
    await element.button('Resume').click();
    await expect.poll(() => shardCount).toBeGreaterThan(countBefore);
    released();
    await expect(page.getByRole('button', { name: /^Backend: / })).toBeVisible({ timeout: LOAD_TIMEOUT });
  });
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

test('a turn that is sent while the model loads, over a bad line, is answered; the kept model is listed and deleted', async ({
  page,
}) => {
  const attempts = await serveBadly(page);
  const element = await openElement(page, { attributes: 'history-key="" loading="eager"' });
  await element.send('Who are you?');
  await expect(element.answers).toContainText('Waiting for the model');
  await expect(element.answers).toContainText('tok/s', { timeout: LOAD_TIMEOUT });
  await expect(element.answers).toContainText('phone agent');
  // The damaged piece is asked for again, and after the break only what is missing.
  expect(attempts).toEqual([undefined, undefined, `bytes=${BREAK_BYTES}-`]);

  await page.getByRole('button', { name: /^Backend: / }).click();
  await element.button('Models in this browser').click();
  const panel = page.getByRole('dialog', { name: 'Models in this browser' });
  await expect(panel.getByRole('listitem')).toHaveCount(1);
  await expect(panel.getByRole('listitem')).toContainText('autoglm-tiny-q4f16_1');
  await expect(panel.getByRole('listitem')).toContainText('7.6 MB kept');
  await panel.getByRole('button', { name: 'Delete autoglm-tiny-q4f16_1' }).click();
  await panel.getByRole('button', { name: /^Delete, free 7.6 MB/ }).click();
  await expect(panel.getByRole('status')).toHaveText('7.6 MB freed.');
  await expect(panel).toContainText('No models are kept in this browser.');
  await expect(panel.getByRole('button', { name: 'Add a model folder' })).toBeFocused();
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

test('the small model answers while the other one is downloaded, which then takes over', async ({ page }) => {
  const element = await openElement(page, {
    attributes: 'history-key="" fallback-model="models/autoglm-tiny-q4f16_1"',
  });
  const large = await standForLargeModel(page);
  // The worst order: the large model is under way, with what it locks, before the small one begins.
  await page.route('**/models/autoglm-tiny-q4f16_1/tensor-cache.json', async (route) => {
    await large.whenAsked;
    await route.continue();
  });
  await page.evaluate(() => {
    window.chat.model = '/large-model';
  });
  await element.button('Load AutoGLM').click();
  await expect(element.chat).toContainText('You can chat with autoglm-tiny-q4f16_1 meanwhile.', {
    timeout: LOAD_TIMEOUT,
  });
  await element.send('Who are you?');
  await expect(element.answers).toContainText('tok/s', { timeout: LOAD_TIMEOUT });
  large.release();
  await expect
    .poll(() => page.evaluate(() => window.chat.engine?.info.model), { timeout: LOAD_TIMEOUT })
    .toBe('large-model');
  await expect.poll(() => page.workers().length).toBe(1);
});

test('a folder that is dropped on the element is loaded without an address', async ({ page }) => {
  const element = await openElement(page, { attributes: 'history-key=""' });
  await page.evaluate(() => {
    window.chat.model = '';
    return window.chat.updateComplete;
  });
  // As the system does it, with the folder itself: a made-up event would hold no folder.
  const devtools = await page.context().newCDPSession(page);
  const data = { items: [], files: [MODEL_FOLDER], dragOperationsMask: 1 };
  for (const type of ['dragEnter', 'dragOver', 'drop'] as const) {
    await devtools.send('Input.dispatchDragEvent', { type, x: 640, y: 300, data });
    if (type === 'dragOver') await expect(page.getByText('Drop the screenshot here')).toBeVisible();
  }
  await expect(page.getByText('Drop the screenshot here')).toBeHidden();
  await expect(page.getByRole('button', { name: /^Backend: / })).toBeVisible({ timeout: LOAD_TIMEOUT });
  await element.send('Who are you?');
  await expect(element.answers).toContainText('tok/s', { timeout: LOAD_TIMEOUT });
});

/**
 * Answers the first request for the shard with one wrong bit, and the second with a part of it.
 *
 * @returns the ranges that were asked for.
 */
async function serveBadly(page: Page): Promise<(string | undefined)[]> {
  const shard = await readFile(SHARD);
  const flipped = Buffer.from(shard);
  flipped[1000] = (flipped[1000] as number) ^ 1;
  const bodies = [flipped, shard.subarray(0, BREAK_BYTES)];
  const ranges: (string | undefined)[] = [];
  await page.route('**/params_shard*', async (route) => {
    const body = bodies[ranges.length];
    ranges.push(route.request().headers()['range']);
    await (body === undefined ? route.continue() : route.fulfill({ body }));
  });
  return ranges;
}

/**
 * Serves the embedded model, with one bit of its weights flipped, as `/large-model`: another model, whose shard is
 * no other's. A load of two models that share a shard waits for it once, as it should. The shard is held back until
 * `release`.
 */
async function standForLargeModel(page: Page): Promise<{ whenAsked: Promise<void>; release: () => void }> {
  const [asked, released] = [createSignal(), createSignal()];
  const small = await readFile(SHARD);
  const large = Buffer.from(small);
  large[0] = (large[0] as number) ^ 1;
  const manifest = [small.byteLength, PIECE_BYTES].reduce(
    (text, end) => text.replaceAll(hashOf(small.subarray(0, end)), hashOf(large.subarray(0, end))),
    await readFile(join(MODEL_FOLDER, 'tensor-cache.json'), 'utf8'),
  );
  await page.route('**/large-model/**', async (route) => {
    const url = route.request().url().replace('large-model', 'models/autoglm-tiny-q4f16_1');
    if (url.endsWith('tensor-cache.json')) return route.fulfill({ json: JSON.parse(manifest) });
    if (!url.includes('params_shard')) return route.fulfill({ response: await route.fetch({ url }) });
    asked.give();
    await released.given;
    await route.fulfill({ body: large }).catch(() => {});
  });
  return { whenAsked: asked.given, release: released.give };
}

function createSignal(): { given: Promise<void>; give: () => void } {
  let give = (): void => {};
  const given = new Promise<void>((resolve) => {
    give = resolve;
  });
  return { given, give };
}

function recordRequests(page: Page): string[] {
  const urls: string[] = [];
  page.on('request', (request) => urls.push(request.url()));
  return urls;
}
