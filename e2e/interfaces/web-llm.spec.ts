/** Programs that are written for web-llm run on this package, in Chromium: see `programs.ts`. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { expect, test, type Page } from '@playwright/test';
import { createServer, type ViteDevServer } from 'vite';
import type { programs } from './programs.ts';

const MODEL = 'autoglm-tiny-q4f16_1';
const ROOT = resolve(import.meta.dirname, '../..');

let server: ViteDevServer;
let cacheDir: string;
let page: Page;

test.describe.configure({ mode: 'serial' });

test.beforeAll(async ({ browser }) => {
  cacheDir = await mkdtemp(join(tmpdir(), 'autoglm-vite-'));
  server = await createServer({
    root: ROOT,
    configFile: false,
    cacheDir,
    logLevel: 'error',
    resolve: { alias: { 'web-llm': join(ROOT, 'src/engine/web-llm/index.ts') } },
    server: { port: 0, host: '127.0.0.1', hmr: false, watch: null },
    // Found while a test runs, they would reload its page.
    optimizeDeps: {
      noDiscovery: true,
      include: [
        '@huggingface/jinja',
        '@huggingface/tokenizers',
        '@mlc-ai/web-llm',
        '@noble/hashes/sha2.js',
        '@noble/hashes/utils.js',
        'eventsource-parser',
        'hash-wasm',
        'idb-keyval',
      ],
    },
  });
  await server.listen();
  page = await browser.newPage();
  await page.goto(`${server.resolvedUrls?.local[0]}e2e/interfaces/page.html`);
  await page.waitForFunction(() => 'interfaces' in window);
});

test.afterAll(async () => {
  await page?.close();
  await server?.close();
  if (cacheDir) await rm(cacheDir, { recursive: true, force: true });
});

type Name = keyof typeof programs;

function withEngine(name: Name): Promise<unknown> {
  return page.evaluate(([program, id]) => window.interfaces.withEngine(program, id), [name, MODEL] as const);
}

function alone(name: Name, modelId = MODEL): Promise<unknown> {
  return page.evaluate(([program, id]) => window.interfaces.alone(program, id), [name, modelId] as const);
}

test('get started: progress, two choices with log-probabilities, statistics', async () => {
  expect(await alone('getStarted')).toEqual({
    choices: 2,
    ranked: 2,
    tokens: 12,
    lastProgress: 1,
    stats: expect.stringMatching(/^prefill: [\d.]+ tokens\/sec, decoding: [\d.]+ tokens\/sec$/),
  });
});

test('streaming', async () => {
  const { message, whole, speed } = (await withEngine('streaming')) as Record<string, unknown>;
  expect(message).not.toBe('');
  expect(whole).toBe(message);
  expect(speed).toBeGreaterThan(0);
});

test('json-schema, json-mode and grammars', async () => {
  const lamp = (await withEngine('jsonSchema')) as Record<string, unknown>;
  expect(Object.keys(lamp)).toEqual(['size', 'is_on']);
  const { text, finish } = (await withEngine('jsonMode')) as Record<string, string>;
  expect(text).toMatch(/^\{/);
  if (finish === 'stop') JSON.parse(text as string);
  expect(await withEngine('grammar')).toMatch(/^(yes|no)$/);
});

test('seed to reproduce', async () => {
  const { first, again, other } = (await withEngine('seedToReproduce')) as Record<string, string[]>;
  expect(again).toEqual(first);
  expect(other).not.toEqual(first);
  expect(first?.[0]).not.toBe(first?.[1]);
});

test('multi-round chat', async () => {
  const { first, second, content } = (await withEngine('multiRound')) as Record<string, number | string>;
  expect(second).toBeGreaterThan(first as number);
  expect(content).not.toBe('');
});

test('abort, and reload in the middle of a load', async () => {
  const { finish, count } = (await withEngine('abort')) as { finish: string; count: number };
  expect(finish).toBe('abort');
  expect(count).toBeLessThan(20);
  await page.evaluate(() => window.interfaces.unload());
  const { first, tokens, after } = (await alone('reloadInBetween')) as Record<string, unknown>;
  expect(first).toMatch(/abort/i);
  expect(tokens).toBe(2);
  expect(after).toContain('No model is loaded');
});

test('vision', async () => {
  const { prompt, tokens } = (await withEngine('vision')) as Record<string, number>;
  expect(prompt).toBeGreaterThan(16);
  expect(tokens).toBe(2);
});

test('function calling, streamed', async () => {
  const { name, arguments: values } = (await withEngine('functionCalling')) as Record<string, unknown>;
  expect(name).toBe('f');
  expect(['x', 'y']).toContain((values as { a: string }).a);
});

test('text completion', async () => {
  expect(await withEngine('textCompletion')).toMatch(/^The phone./);
  await page.evaluate(() => window.interfaces.unload());
});

test('web worker: the handler holds the engine', async () => {
  const { message, whole } = (await page.evaluate((id) => window.interfaces.webWorker(id), MODEL)) as Record<
    string,
    string
  >;
  expect(message).not.toBe('');
  expect(whole).toBe(message);
});

test('cache utilities', async () => {
  expect(await alone('cache')).toEqual({ before: true, after: false });
});

test('logit processor: refused in words, as logits stay on the GPU', async () => {
  expect(await alone('logitProcessor')).toContain('takes no logit processor');
});

test('a model of web-llm runs on web-llm itself, whose failures come through', async () => {
  // No network here: its first file cannot be had.
  expect(await alone('modelOfWebLlm', 'Llama-3.2-1B-Instruct-q4f16_1-MLC')).toMatch(/fetch|network|Cache/i);
  expect(await alone('modelOfWebLlm', 'no-such-model')).toContain('is not in the list of models');
});
