/** Pages and the local helper, both real: a tab that is too small, linking, a helper that dies, a machine offline. */
import type { Locator, Page } from '@playwright/test';
import { expect, test } from '@playwright/test';
import { fileURLToPath } from 'node:url';
import type * as HttpSource from '../../src/storage/http-source.ts';
import type * as IdbShardCache from '../../src/storage/idb-shard-cache.ts';
import type * as ModelLoader from '../../src/storage/model-loader.ts';
import { HelperLauncher } from './helper-process.ts';
import { tightenAdapter } from './tight-adapter.ts';

/** Case c109 of the model's evaluation; the box holds the icon, in pixels of the 280 x 560 image. */
const CASE = {
  image: new URL('../../public/samples/home-search.png', import.meta.url).pathname,
  task: 'Open Settings and tap Language',
  box: { left: 79, top: 270, right: 133, bottom: 336 },
};
const STORAGE = fileURLToPath(new URL('../../src/storage/', import.meta.url));

/** The helper and the page share two cores and one software adapter each. */
const LONG = 300_000;

let launcher: HelperLauncher;
test.beforeAll(async () => {
  launcher = await HelperLauncher.create();
});
test.afterEach(() => launcher.stop());
test.afterAll(() => launcher[Symbol.asyncDispose]());
test.setTimeout(3 * LONG);

test('a tab that is too small goes on with the helper, once two clicks have linked it', async ({ page }) => {
  await tightenAdapter(page);
  const helper = launcher.start();
  const chat = await openChat(page, 'auto');
  await expect(
    chat.getByRole('heading', { name: 'A helper on this computer can run the model' }),
  ).toBeVisible({
    timeout: LONG,
  });
  const [popup] = await Promise.all([
    page.waitForEvent('popup'),
    chat.getByRole('button', { name: 'Link the helper' }).click(),
  ]);
  const { code } = await helper.event('listening');
  await expect(popup.getByText(new URL(page.url()).origin, { exact: true })).toBeVisible();
  await popup.getByLabel('Code shown by').fill(code === '000000' ? '000001' : '000000');
  await popup.getByRole('button', { name: 'Allow this page' }).click();
  await expect(popup.getByRole('alert')).toContainText('not the code');
  await popup.getByLabel('Code shown by').fill(code);
  const closed = popup.waitForEvent('close');
  await popup.getByRole('button', { name: 'Allow this page' }).click();
  await closed;
  expect((await helper.event('linked')).origin).toBe(new URL(page.url()).origin);

  await expectBackend(chat, 'Helper');
  await chat.getByRole('button', { name: /^Backend:/ }).click();
  await expect(chat.getByText('The model is too large for this tab’s GPU limits.')).toBeVisible();
  await page.keyboard.press('Escape');
  await askCase(page, chat);
  await expectTapInBox(page);

  await test.step('an answer goes on where it was when the helper is killed and comes back', async () => {
    const joke = 'Tell me a joke';
    const newChat = chat.getByRole('button', { name: 'New chat' });
    await newChat.click();
    const whole = await ask(page, chat, joke);
    // The page kills the helper at the first word, so that it always happens in the middle.
    await page.exposeFunction('killHelper', () => helper.kill());
    await page.evaluate(() => {
      const { killHelper } = window as unknown as { killHelper(): void };
      const element = document.querySelector('autoglm-chat');
      element?.addEventListener('autoglm-token', () => killHelper(), { once: true });
    });
    await newChat.click();
    await send(chat, joke);
    await expect(chat.getByText('The helper stopped answering.')).toBeVisible({ timeout: LONG });
    const part = await page.evaluate(() => {
      const root = document.querySelector('autoglm-chat')?.shadowRoot;
      return root?.querySelector('autoglm-message-list')?.live?.text ?? '';
    });
    expect(part).not.toBe('');
    expect(part.length).toBeLessThan(whole.length);
    expect(whole.startsWith(part)).toBe(true);

    launcher.start();
    await expect(chat.getByText('The helper stopped answering.')).toBeHidden({ timeout: LONG });
    expect(await answerText(page, chat)).toBe(whole);
  });
});

test('a page hands its model over to a helper without one, with the network gone', async ({ page }) => {
  await keepToken(page);
  await download(page);
  await page.route(`${ownOrigin()}/models/**`, (route) => route.abort());
  const helper = launcher.start(null);
  await helper.event('listening');
  const chat = await openChat(page, 'helper');
  await expectBackend(chat, 'Helper');
  expect((await helper.event('ready')).model).toBe('autoglm-tiny-q4f16_1');
  expect((await ask(page, chat, 'Who are you?')).length).toBeGreaterThan(3);
});

test("the browser's question is explained before it is asked, and a refusal is told", async ({ page }) => {
  await keepToken(page, 'https://page.example', 'revoked');
  await servePublicly(page, 'https://page.example');
  const asked: string[] = [];
  page.on('request', (request) => {
    if (request.url().startsWith(launcher.url)) asked.push(request.url());
  });
  await allowLocal(page, 'https://page.example', 'prompt');
  const chat = await openChat(page, 'helper', 'https://page.example');
  await expect(chat.getByText(/The browser will ask whether this page may reach apps/)).toBeVisible();
  expect(asked).toEqual([]);

  await test.step('allowed, it finds nobody, then somebody whom it is not linked with', async () => {
    await allowLocal(page, 'https://page.example', 'granted');
    await chat.getByRole('button', { name: 'Go on' }).click();
    await expect(
      chat.getByRole('heading', { name: 'The helper on this computer does not answer' }),
    ).toBeVisible();
    await launcher.start(null).event('listening');
    await chat.getByRole('button', { name: 'Try again' }).click();
    await expect(
      chat.getByRole('heading', { name: 'A helper on this computer can run the model' }),
    ).toBeVisible();
  });

  await test.step('refused, it says what to change, and asks nothing', async () => {
    await allowLocal(page, 'https://page.example', 'denied');
    // The link that was no good is given back by the page's first script.
    await page.reload();
    await expect(
      chat.getByRole('heading', { name: /does not let this page reach the helper/ }),
    ).toBeVisible();
  });
});

/** The page as if it had been linked before. */
async function keepToken(page: Page, origin = ownOrigin(), token = launcher.link(origin)): Promise<void> {
  await page.addInitScript(
    ([url, grant]) =>
      localStorage.setItem('autoglm-helper-links', JSON.stringify({ [url as string]: grant })),
    [launcher.url, { token, origin, expiresAt: 9e15 }] as const,
  );
}

/** Brings the model into the browser's storage, as an earlier visit would have done. */
async function download(page: Page): Promise<void> {
  await page.route('**/download', (route) => route.fulfill({ contentType: 'text/html', body: '<p></p>' }));
  await page.goto('/download');
  await page.evaluate(async (storage) => {
    const load = async <T>(name: string): Promise<T> => (await import(`${storage}${name}.ts`)) as T;
    const { openModel } = await load<typeof ModelLoader>('model-loader');
    const { createHttpSource } = await load<typeof HttpSource>('http-source');
    const { createIdbShardCache } = await load<typeof IdbShardCache>('idb-shard-cache');
    const source = createHttpSource(new URL('/models/autoglm-tiny-q4f16_1', location.href).href);
    await (await openModel(source, { cache: createIdbShardCache() })).download();
  }, `/@fs${STORAGE}`);
}

/** The page of `npm start`, whose element is told before it loads where to compute. */
async function openChat(page: Page, backend: string, origin = ownOrigin()): Promise<Locator> {
  await page.route(
    (url) => url.origin === origin && url.pathname === '/',
    async (route) => {
      const response = await route.fetch({ url: `${ownOrigin()}/` });
      const attributes = `<autoglm-chat backend="${backend}" helper-url="${launcher.url}" `;
      const body = (await response.text()).replace('<autoglm-chat', attributes);
      await route.fulfill({ response, body });
    },
  );
  // A page that a test wrote counts as one of the network: Chrome asks before it may reach this machine.
  if (origin === ownOrigin()) await allowLocal(page, origin, 'granted');
  await page.goto(`${origin}/?locale=en`);
  return page.locator('autoglm-chat');
}

function ownOrigin(): string {
  return new URL(test.info().project.use.baseURL ?? '').origin;
}

/** Serves everything of the project under another origin, whose pages are not of this machine. */
async function servePublicly(page: Page, origin: string): Promise<void> {
  await page.route(`${origin}/**`, async (route) => {
    const url = route.request().url().replace(origin, ownOrigin());
    // The server closes idle connections; one that is used in that moment is reset, and the file asked for again.
    await route.fulfill({ response: await route.fetch({ url, maxRetries: 3 }) });
  });
}

/** Answers the browser's question for the user, as long as the session that it opens lasts. */
async function allowLocal(
  page: Page,
  origin: string,
  setting: 'prompt' | 'granted' | 'denied',
): Promise<void> {
  const cdp = await page.context().newCDPSession(page);
  const { targetInfo } = await cdp.send('Target.getTargetInfo');
  await cdp.send('Browser.setPermission', {
    permission: { name: 'loopback-network' },
    setting,
    origin,
    ...(targetInfo.browserContextId !== undefined && { browserContextId: targetInfo.browserContextId }),
  });
}

async function expectBackend(chat: Locator, name: string | RegExp): Promise<void> {
  const badge = chat.getByRole('button', { name: /^Backend:/ });
  await expect(badge).toContainText(name, { timeout: LONG });
}

async function send(chat: Locator, text: string): Promise<void> {
  const input = chat.getByRole('textbox', { name: 'Message' });
  await input.fill(text);
  await input.press('Enter');
}

async function ask(page: Page, chat: Locator, text: string): Promise<string> {
  await send(chat, text);
  return answerText(page, chat);
}

/** The raw text of the answer, once its figures stand under it. */
async function answerText(page: Page, chat: Locator): Promise<string> {
  await expect(chat.getByText(/first token/)).toBeVisible({ timeout: LONG });
  const turn = await page.evaluate(() => document.querySelector('autoglm-chat')?.turns.at(-1));
  expect(turn).toMatchObject({ role: 'assistant', finish: 'stop' });
  return (turn as { text: string }).text;
}

async function askCase(page: Page, chat: Locator): Promise<void> {
  await page.locator('input[type=file][multiple]').setInputFiles(CASE.image);
  await expect(page.getByRole('list', { name: 'Screenshots to send' }).getByRole('listitem')).toHaveCount(1);
  await ask(page, chat, CASE.task);
}

/** The element's own reading of the answer: a point of 1000 by 1000 on a 280 x 560 picture. */
async function expectTapInBox(page: Page): Promise<void> {
  const { text } = (await page.evaluate(() => document.querySelector('autoglm-chat')?.turns.at(-1))) as {
    text: string;
  };
  const point = /do\(action="Tap", element=\[(\d+),\s*(\d+)\]\)/.exec(text);
  expect(point, text).not.toBeNull();
  const [x, y] = [(Number(point?.[1]) * 280) / 1000, (Number(point?.[2]) * 560) / 1000];
  expect(x).toBeGreaterThan(CASE.box.left);
  expect(x).toBeLessThan(CASE.box.right);
  expect(y).toBeGreaterThan(CASE.box.top);
  expect(y).toBeLessThan(CASE.box.bottom);
}
