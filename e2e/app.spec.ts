/** Checks the built app: it can be installed, opens and chats without a network, and updates without losing anything. */
import { cpSync, mkdtempSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { BrowserContext, Page } from '@playwright/test';
import { expect, test as base } from '@playwright/test';
import { serveFolder } from './static-server.ts';

/** Made by `npm run build`. */
const BUILT = fileURLToPath(new URL('../dist/app', import.meta.url));
const HOME = fileURLToPath(new URL('../public/samples/home.png', import.meta.url));
const LOAD_TIMEOUT = 120_000;

interface Host {
  readonly url: string;
  /** Serves a newer build from now on; one of its scripts has another name. */
  update(): void;
  close(): Promise<void>;
}

interface Fixtures {
  /** A host of the app, which can go away. */
  readonly host: Host;
  /** A browser that keeps what it has when it is closed. */
  readonly profile: { open(...flags: string[]): Promise<BrowserContext> };
}

const test = base.extend<Fixtures>({
  // oxlint-disable-next-line no-empty-pattern
  host: async ({}, use) => {
    const folder = mkdtempSync(join(tmpdir(), 'autoglm-app-'));
    cpSync(BUILT, join(folder, 'old'), { recursive: true });
    let version = 'old';
    const server = await serveFolder(() => join(folder, version));
    await use({
      url: `${server.url}/`,
      update: () => {
        buildNewer(join(folder, 'old'), join(folder, 'new'));
        version = 'new';
      },
      close: server.close,
    });
    await server.close();
    rmSync(folder, { recursive: true, force: true });
  },
  profile: async ({ playwright, launchOptions }, use) => {
    const folder = mkdtempSync(join(tmpdir(), 'autoglm-profile-'));
    const opened: BrowserContext[] = [];
    await use({
      open: async (...flags) => {
        const context = await playwright.chromium.launchPersistentContext(folder, {
          ...launchOptions,
          args: [...(launchOptions.args ?? []), ...flags],
          headless: false,
          locale: 'en-GB',
        });
        opened.push(context);
        return context;
      },
    });
    await Promise.all(opened.map((context) => context.close()));
    rmSync(folder, { recursive: true, force: true });
  },
});

test('it can be installed', async ({ profile, host }) => {
  const context = await profile.open();
  const page = await context.newPage();
  await page.goto(host.url);
  await controlled(page);
  const session = await context.newCDPSession(page);
  const { installabilityErrors } = await session.send('Page.getInstallabilityErrors');
  expect(installabilityErrors).toEqual([]);
  const { errors, data } = await session.send('Page.getAppManifest');
  expect(errors).toEqual([]);
  const manifest = JSON.parse(data ?? '') as {
    id: string;
    start_url: string;
    display: string;
    name: string;
    short_name: string;
    theme_color: string;
    icons: { src: string; sizes: string; type: string; purpose?: string }[];
    shortcuts: { url: string }[];
  };
  for (const { src, sizes, type } of manifest.icons.filter((icon) => icon.sizes !== 'any')) {
    const [size, contentType] = await page.evaluate(async (url) => {
      const response = await fetch(url);
      const bitmap = await createImageBitmap(await response.clone().blob());
      return [`${bitmap.width}x${bitmap.height}`, response.headers.get('content-type')];
    }, src);
    expect([size, contentType]).toEqual([sizes, type]);
  }
  expect(manifest.icons.some(({ purpose }) => purpose === 'maskable')).toBe(true);
  expect(manifest).toMatchObject({ display: 'standalone', name: expect.stringMatching(/./) });
  for (const part of [manifest.id, manifest.start_url, manifest.short_name, manifest.theme_color]) {
    expect(part).toMatch(/./);
  }
  await page.goto(new URL(manifest.start_url, `${host.url}manifest.webmanifest`).href);
  const controller = await page.evaluate(() => navigator.serviceWorker.controller?.scriptURL);
  expect(controller).toBe(`${host.url}service-worker.js`);
  for (const { url } of manifest.shortcuts) await page.goto(new URL(url, host.url).href);
  await expect(page.getByRole('dialog')).toContainText('No conversations yet.');
});

test('Lighthouse has nothing to say of accessibility and best practices', async ({ profile, host }) => {
  const port = await findFreePort();
  await profile.open(`--remote-debugging-port=${port}`);
  const { default: lighthouse } = await import('lighthouse');
  // Its categories for apps are gone since version 12; the test above has what they checked.
  const result = await lighthouse(`${host.url}?locale=en`, {
    port,
    onlyCategories: ['accessibility', 'best-practices'],
    logLevel: 'error',
    formFactor: 'desktop',
    screenEmulation: { disabled: true },
    throttlingMethod: 'provided',
    maxWaitForLoad: 20_000,
  });
  const { categories, audits } = result?.lhr ?? { categories: {}, audits: {} };
  const scores = Object.values(categories).map(({ id, score }) => [id, score]);
  console.log(`Lighthouse ${result?.lhr.lighthouseVersion}: ${JSON.stringify(scores)}`);
  const failed = Object.values(audits).filter(({ score }) => score !== null && score < 1);
  expect(failed.map(({ id }) => id)).toEqual([]);
  expect(scores).toEqual([
    ['accessibility', 1],
    ['best-practices', 1],
  ]);
});

test('after one visit it opens and chats without a network', async ({ profile, host }) => {
  let context = await profile.open();
  let page = await context.newPage();
  await page.goto(host.url);
  await ready(page);
  await ask(page, 'Who are you?');
  await controlled(page);
  await context.close();
  await host.close();

  context = await profile.open();
  page = await context.newPage();
  const [failed, other] = [watchFailures(page), host.url];
  await page.goto(`${other}?locale=en`);
  await ready(page);
  await page.locator('input[type=file][multiple]').setInputFiles(HOME);
  await expect(page.getByRole('list', { name: 'Screenshots to send' })).toContainText('tokens');
  await page.getByRole('button', { name: /^Remove / }).click();
  await ask(page, 'Who are you?');
  await expect(page.locator('autoglm-assistant-message').last()).toContainText('phone agent');
  expect(failed.filter((url) => url.startsWith(host.url))).toEqual([]);
});

test('an update waits for the answer and keeps conversation, draft and screenshots; another tab is left alone', async ({
  profile,
  host,
}) => {
  const context = await profile.open();
  const page = await context.newPage();
  await page.goto(host.url);
  await controlled(page);
  await ready(page);
  const other = await context.newPage();
  await other.goto(host.url);
  await page.bringToFront();
  await page.evaluate(() => {
    const chat = document.querySelector('autoglm-chat');
    if (chat !== null) chat.generation = { ignore_eos: true, max_tokens: 60, temperature: 0 };
  });
  const input = page.getByRole('textbox', { name: 'Message' });
  await input.fill('Who are you?');
  await input.press('Enter');
  await expect(page.locator('autoglm-chat:state(streaming)')).toBeVisible();
  host.update();
  await page.evaluate(async () => (await navigator.serviceWorker.ready).update());
  await expect(page.getByText('A new version is ready.')).toBeVisible();
  await input.fill('a draft');
  await page.locator('input[type=file][multiple]').setInputFiles(HOME);
  await expect(page.getByRole('list', { name: 'Screenshots to send' }).getByRole('listitem')).toHaveCount(1);
  await page.evaluate(() => Object.assign(window, { isOldPage: true }));
  await page.getByRole('button', { name: 'Reload' }).click();

  // Gone with the page that it was set on.
  await page.waitForFunction(() => !('isOldPage' in window), undefined, { timeout: LOAD_TIMEOUT });
  await expect(page.locator('html')).toHaveAttribute('data-version', 'newer');
  const turns = await page.evaluate(async () => {
    const chat = document.querySelector('autoglm-chat');
    await chat?.updateComplete;
    await new Promise((resolve) => setTimeout(resolve, 500));
    return chat?.turns.map((turn) => (turn.role === 'user' ? turn.text : turn.finish));
  });
  expect(turns).toEqual(['Who are you?', 'length']);
  await expect(input).toHaveValue('a draft');
  await expect(page.getByRole('list', { name: 'Screenshots to send' }).getByRole('listitem')).toHaveCount(1);

  await other.bringToFront();
  await expect(other.getByText('Another window took a new version.')).toBeVisible();
  expect(await other.evaluate(() => document.documentElement.dataset['version'])).toBeUndefined();
  // Its engine's scripts are not on the server any more; they are still kept for it.
  const scripts = await other.evaluate(async () => {
    const cached: number[] = [];
    for (const name of await caches.keys()) cached.push((await (await caches.open(name)).keys()).length);
    return cached.filter((count) => count > 10).length;
  });
  expect(scripts).toBe(2);
  const old = oldScript();
  expect(await other.evaluate(async (url) => (await fetch(url)).status, old)).toBe(200);
});

test('a shared screenshot waits in the composer', async ({ profile, host }) => {
  const context = await profile.open();
  const page = await context.newPage();
  await page.goto(host.url);
  await controlled(page);
  // As the system does it: a form sent to the share target.
  await page.evaluate(() => {
    const form = document.createElement('form');
    Object.assign(form, { method: 'post', action: './share', enctype: 'multipart/form-data' });
    form.innerHTML = '<input name="text" value="Open Maps"><input type="file" name="images" id="shared">';
    document.body.append(form);
  });
  await page.locator('#shared').setInputFiles(HOME);
  await page.evaluate(() => document.querySelector('form')?.submit());
  await page.waitForURL('**/?shared');
  await expect(page.getByRole('textbox', { name: 'Message' })).toHaveValue('Open Maps');
  await expect(page.getByRole('list', { name: 'Screenshots to send' })).toContainText('home.png');
});

function findFreePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer();
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

async function controlled(page: Page): Promise<void> {
  await page.waitForFunction(() => navigator.serviceWorker.controller !== null);
}

async function ready(page: Page): Promise<void> {
  await expect(page.getByRole('button', { name: /^Backend:/ })).toBeVisible({ timeout: LOAD_TIMEOUT });
}

async function ask(page: Page, text: string): Promise<void> {
  const input = page.getByRole('textbox', { name: 'Message' });
  await input.fill(text);
  await input.press('Enter');
  await expect(page.locator('autoglm-assistant-message').last()).toContainText('first token', {
    timeout: LOAD_TIMEOUT,
  });
}

function watchFailures(page: Page): string[] {
  const urls: string[] = [];
  page.on('requestfailed', (request) => urls.push(request.url()));
  return urls;
}

function oldScript(): string {
  const name = readdirSync(join(BUILT, 'assets')).find((file) => file.startsWith('create-engine-'));
  if (name === undefined) throw new Error('The build has no script create-engine-*.js.');
  return `assets/${name}`;
}

/** The same app as a later build would have it: another page, and one script under another name. */
function buildNewer(from: string, to: string): void {
  cpSync(from, to, { recursive: true });
  const name = oldScript();
  const newName = name.replace(/-[^-]+\.js$/, '-newer123.js');
  renameSync(join(to, name), join(to, newName));
  const [before, after] = [name, newName].map((path) => path.slice('assets/'.length)) as [string, string];
  const texts = [
    'index.html',
    'service-worker.js',
    ...readdirSync(join(to, 'assets'))
      .filter((file) => file.endsWith('.js'))
      .map((file) => `assets/${file}`),
  ];
  for (const path of texts) {
    const text = readFileSync(join(to, path), 'utf8').replaceAll(before, after);
    writeFileSync(join(to, path), text.replace('<html lang="en">', '<html lang="en" data-version="newer">'));
  }
  const worker = join(to, 'service-worker.js');
  const text = readFileSync(worker, 'utf8');
  writeFileSync(worker, text.replace(/("revision":")[0-9a-f]+(","url":"index.html")/, '$1newer$2'));
}
