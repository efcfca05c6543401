/** A GPU that goes away: in the middle of a load and of an answer it ends in one clear error, and a load works again. */
import { expect, test as base, type Page } from '@playwright/test';
import type { createEngine } from '../src/engine/create-engine.ts';
import type { Engine } from '../src/engine/engine.ts';

/** What the test keeps in the page. */
interface LossWindow {
  engine: Engine;
  phases: string[];
  text: string;
  /** How the load or the answer that was begun last ended. */
  ending: Promise<string>;
}

const ENGINE_MODULE = `/@fs${new URL('../src/engine/create-engine.ts', import.meta.url).pathname}`;
const MODEL = '/models/autoglm-tiny-q4f16_1';

/** Begins a load; `ending` tells `loaded` or the code of its error. */
function beginLoad(page: Page): Promise<void> {
  return page.evaluate(
    async ([address, model]) => {
      const { createEngine: create } = (await import(address)) as { createEngine: typeof createEngine };
      const tab = window as unknown as LossWindow;
      tab.phases = [];
      const loading = create({
        model,
        backend: 'webgpu',
        contextWindow: 512,
        onProgress: ({ phase }) => void tab.phases.push(phase),
      });
      tab.ending = loading.then(
        (engine) => {
          tab.engine = engine;
          return 'loaded';
        },
        (error) => String(error.code ?? error),
      );
    },
    [ENGINE_MODULE, MODEL] as const,
  );
}

/** Begins an answer; `ending` tells `answered` or the code of its error. */
function beginAnswer(page: Page, maxTokens: number): Promise<void> {
  return page.evaluate(async (most) => {
    const tab = window as unknown as LossWindow;
    tab.text = '';
    const answering = (async () => {
      const stream = await tab.engine.chat.completions.create({
        messages: [{ role: 'user', content: 'Hello! What can you do?' }],
        temperature: 0,
        stream: true,
        ignore_eos: true,
        max_tokens: most,
      });
      for await (const { choices } of stream) tab.text += choices[0]?.delta.content ?? '';
      return 'answered';
    })();
    tab.ending = answering.catch((error) => String(error.code ?? error));
  }, maxTokens);
}

const ending = (page: Page): Promise<string> => page.evaluate(() => (window as unknown as LossWindow).ending);
const text = (page: Page): Promise<string> => page.evaluate(() => (window as unknown as LossWindow).text);
const phases = (page: Page): Promise<string[]> =>
  page.evaluate(() => (window as unknown as LossWindow).phases);

/** A browser of the test's own: Chromium keeps pages from a GPU that crashes often, and other tests need one. */
const test = base.extend<{ page: Page }>({
  page: async ({ playwright, launchOptions, baseURL }, use) => {
    const args = [
      ...(launchOptions.args ?? []),
      '--disable-gpu-process-crash-limit',
      '--disable-domain-blocking-for-3d-apis',
    ];
    const browser = await playwright.chromium.launch({ ...launchOptions, args, headless: false });
    await use(await browser.newPage({ baseURL: baseURL as string }));
    await browser.close();
  },
});

/** Ends the browser's GPU process: every device of every page is lost, as when a driver crashes. */
async function crashGpu(page: Page): Promise<void> {
  const session = await page.context().browser()!.newBrowserCDPSession();
  // Answered by nobody, or with an error.
  session.send('Browser.crashGpuProcess').catch(() => {});
}

test('a crashed GPU ends a load and an answer at once, with its own error, and the next load works', async ({
  page,
}) => {
  await page.route('**/blank', (route) => route.fulfill({ contentType: 'text/html', body: '<p></p>' }));
  await page.goto('/blank');

  await beginLoad(page);
  await expect.poll(() => phases(page), { intervals: [5] }).toContain('uploading');
  await crashGpu(page);
  expect(await ending(page)).toBe('device-lost');
  expect(await phases(page)).not.toContain('ready');

  await beginLoad(page);
  expect(await ending(page)).toBe('loaded');
  await beginAnswer(page, 400);
  await expect.poll(async () => (await text(page)).length, { intervals: [20] }).toBeGreaterThan(8);
  await crashGpu(page);
  expect(await ending(page)).toBe('device-lost');
  const before = await text(page);
  // The engine says so to whoever asks it again, until it is loaded again.
  await beginAnswer(page, 4);
  expect(await ending(page)).toBe('device-lost');

  await page.evaluate(() => (window as unknown as LossWindow).engine.unload());
  await beginLoad(page);
  expect(await ending(page)).toBe('loaded');
  await beginAnswer(page, 16);
  expect(await ending(page)).toBe('answered');
  const after = await text(page);
  const shorter = Math.min(before.length, after.length);
  expect(after.slice(0, shorter)).toBe(before.slice(0, shorter));
});

test('a GPU that crashes while the buffers are made is told as lost, too', async ({ page }) => {
  await page.route('**/blank', (route) => route.fulfill({ contentType: 'text/html', body: '<p></p>' }));
  for (const delayMs of [0, 20]) {
    await page.goto('/blank');
    await beginLoad(page);
    await expect.poll(async () => (await phases(page)).length, { intervals: [2] }).toBeGreaterThan(0);
    await page.waitForTimeout(delayMs);
    await crashGpu(page);
    // A crash before the worker has asked for its device harms nobody.
    expect(['device-lost', 'loaded']).toContain(await ending(page));
  }
});
