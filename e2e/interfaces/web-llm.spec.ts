/** Programs that are written for web-llm run on this package, in Chromium: see `programs.ts`. */
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { expect, test, type Page } from '@playwright/test';
import { createServer, type Plugin, type ViteDevServer } from 'vite';
import { readExamples } from '../../src/engine/readme-examples.test-support.ts';
import { startFaultServer, type Fault, type PlanFaults } from '../fault-server.ts';
import { assembleModelLibrary } from './model-library.ts';
import type { programs } from './programs.ts';

const MODEL = 'autoglm-tiny-q4f16_1';
const ROOT = resolve(import.meta.dirname, '../..');

let server: ViteDevServer;
let cacheDir: string;
let page: Page;
const examples = readExamples();
let origin: string;

test.describe.configure({ mode: 'serial' });

test.beforeAll(async ({ browser }) => {
  cacheDir = await mkdtemp(join(tmpdir(), 'autoglm-vite-'));
  server = await createServer({
    root: ROOT,
    configFile: false,
    cacheDir,
    logLevel: 'error',
    plugins: [serveExamples()],
    resolve: {
      alias: {
        'web-llm': join(ROOT, 'src/engine/web-llm/index.ts'),
        ...Object.fromEntries(
          ['web-llm', 'ai-sdk', 'prompt-api'].map((entry) => [
            `autoglm-web/${entry}`,
            join(ROOT, `src/engine/${entry}/index.ts`),
          ]),
        ),
        'autoglm-web/engine': join(ROOT, 'src/engine/index.ts'),
      },
    },
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
        'ai',
        'openai',
      ],
    },
  });
  await server.listen();
  page = await browser.newPage();
  origin = server.resolvedUrls?.local[0] as string;
  await page.goto(`${origin}e2e/interfaces/page.html`);
  await page.waitForFunction(() => 'interfaces' in window);
});

/** The examples of the interfaces' pages as modules of the server. */
function serveExamples(): Plugin {
  return {
    name: 'examples',
    resolveId: (id) => (id.startsWith('/examples/') ? id : undefined),
    load: (id) => examples.find(({ name }) => id === `/examples/${name}.js`)?.code,
  };
}

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
  // As in web-llm's example: the second round computes what is new.
  expect(second).toBeGreaterThan(0);
  expect(second).toBeLessThan(first as number);
  expect(content).not.toBe('');
});

let saved: { tokens: number; text: string };

test('a conversation is saved', async () => {
  saved = (await page.evaluate((id) => window.interfaces.saveSession(id), MODEL)) as typeof saved;
  expect(saved.tokens).toBeGreaterThan(20);
  expect(saved.text).not.toBe('');
});

test('abort, and reload in the middle of a load', async () => {
  const { finish, count } = (await withEngine('abort')) as { finish: string; count: number };
  expect(finish).toBe('abort');
  expect(count).toBeLessThan(20);
  await page.evaluate(() => window.interfaces.unload());
  const { first, tokens, after } = (await alone('reloadInBetween')) as Record<string, unknown>;
  expect(first).toBe('ended');
  expect(tokens).toBe(2);
  expect(after).toContain('No model is loaded');
});

test('a conversation goes on after a reload of the page as if there had been none', async () => {
  await page.reload();
  await page.waitForFunction(() => 'interfaces' in window);
  const restored = await page.evaluate((id) => window.interfaces.restoreSession(id), MODEL);
  const { text, cached, ahead, metrics } = restored as Record<'cached' | 'text', unknown> & {
    readonly ahead: { readonly promptTokens: number; readonly computedTokens: number };
    readonly metrics: readonly number[];
  };
  expect(text).toBe(saved.text);
  expect(cached).toBeGreaterThanOrEqual(saved.tokens);
  // Told by the worker to the page.
  expect(metrics).toEqual([cached, ahead.promptTokens]);
  expect(ahead.computedTokens).toBeGreaterThan(0);
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

test('the examples of the documentation', async () => {
  await page.evaluate((id) => window.interfaces.holdEngine(id), MODEL);
  for (const { name } of examples.filter(({ runs }) => runs)) {
    const lines = (await page.evaluate((one) => window.interfaces.example(one), name)) as string[];
    expect([name, lines.length > 0, lines.join('')]).toEqual([name, true, expect.stringMatching(/\S/)]);
  }
  await page.evaluate(() => window.interfaces.letGo());
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

test('logit processor: a stateful one chooses every token, in a chat and by itself', async () => {
  expect(await alone('logitProcessor')).toEqual({
    first: 5,
    second: 6,
    // One by resetChat, one as a new conversation begins.
    resets: 2,
    chosen: [5, 6, 7],
    tokens: 3,
  });
});

test('service worker: the handler holds the engine', async () => {
  expect(await page.evaluate((id) => window.interfaces.serviceWorker(id), MODEL)).toBe(3);
});

const MLC_MODEL = 'Llama-3.2-1B-Instruct-q4f16_1-MLC';

test('a model of web-llm runs on web-llm itself, whose failures come through', async () => {
  // No network here: its first file cannot be had.
  expect(await alone('modelOfWebLlm', MLC_MODEL)).toMatch(/fetch|network|Cache/i);
  expect(await alone('modelOfWebLlm', 'no-such-model')).toContain('is not in the list of models');
});

/** A load by `backend="web-llm"` with web-llm's real engine. */
function loadMlc(
  options: object,
  abortAfterMs?: number,
): Promise<{ outcome: string; message: string; ms: number }> {
  const args = [options, abortAfterMs] as const;
  return page.evaluate(
    ([given, ms]) => window.interfaces.webLlmBackend(given as { model: string }, ms) as never,
    args,
  );
}

const TOKENIZER = readFileSync(join(ROOT, 'public/models', MODEL, 'tokenizer.json'));
const SHARD_BYTES = 300_000;
const TENSOR_CACHE = {
  metadata: { ParamSize: 1, ParamBytes: SHARD_BYTES, BitsPerParam: 32 },
  records: [
    {
      dataPath: 'params_shard_0.bin',
      format: 'raw-shard',
      nbytes: SHARD_BYTES,
      records: [
        { name: 'a', shape: [75_000], dtype: 'float32', format: 'raw', nbytes: SHARD_BYTES, byteOffset: 0 },
      ],
    },
  ],
};

const json = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));

/** All that web-llm fetches of a model, in the order in which it does. */
const PARTS = [
  'mlc-chat-config.json',
  'library.wasm',
  'tokenizer.json',
  'tensor-cache.json',
  'params_shard_0.bin',
] as const;

test('backend="web-llm" tells by code what its server and the network do to each file', async () => {
  const files = new Map<string, Uint8Array>([
    ['mlc-chat-config.json', json({ tokenizer_files: ['tokenizer.json'], conv_template: {} })],
    ['library.wasm', await assembleModelLibrary()],
    ['tokenizer.json', TOKENIZER],
    ['tensor-cache.json', json(TENSOR_CACHE)],
    ['params_shard_0.bin', new Uint8Array(SHARD_BYTES)],
  ]);
  const remote = await startFaultServer(files);
  let loads = 0;
  /** Web-llm keeps files by their address: each load gets addresses of its own. */
  const load = async (faults: PlanFaults, abortAfterMs?: number) => {
    const prefix = `${++loads}`;
    const folder = `${prefix}/resolve/main/`;
    for (const [path, bytes] of files) if (!path.includes('/')) remote.files.set(`${folder}${path}`, bytes);
    remote.clear();
    remote.planFaults = (seen) => faults({ ...seen, path: seen.path.replace(folder, '') });
    const record = {
      model_id: 'm',
      model: `${remote.url}${prefix}`,
      model_lib: `${remote.url}${folder}library.wasm`,
    };
    const options = { model: 'm', webLlm: { appConfig: { model_list: [record] } } };
    const outcome = await loadMlc(options, abortAfterMs);
    const asked = remote.requests.map(({ path }) => path.replace(folder, ''));
    return { ...outcome, last: asked.at(-1), options };
  };
  const only =
    (path: string, fault: Fault): PlanFaults =>
    (seen) =>
      seen.path === path ? fault : undefined;
  try {
    for (const path of PARTS) {
      for (const fault of [
        { kind: 'status', status: 404 },
        { kind: 'status', status: 503 },
        { kind: 'cut', afterBytes: 3 },
      ] as const) {
        const { outcome, message, last } = await load(only(path, fault));
        expect([path, fault, outcome, last], message).toEqual([path, fault, 'network', path]);
      }
      // It never comes to its end: the load ends with its signal, at once.
      const { outcome, ms, last } = await load(only(path, { kind: 'stall', afterBytes: 3 }), 800);
      expect([path, outcome, last]).toEqual([path, 'TimeoutError: signal timed out', path]);
      expect(ms).toBeLessThan(3000);
    }
    // Its files are what they are, and no model: web-llm's own words, and a code.
    const whole = await load(() => undefined);
    expect([whole.outcome, whole.last]).toEqual(['internal', 'params_shard_0.bin']);
    const noLibrary = await load(only('library.wasm', { kind: 'html' }));
    expect([noLibrary.outcome, noLibrary.last]).toEqual(['internal', 'library.wasm']);
    // By the element.
    const { options } = await load(only('params_shard_0.bin', { kind: 'status', status: 404 }));
    expect(await loadElement(options)).toBe('network');
  } finally {
    await remote.close();
  }
  // Nobody listens there any more.
  const record = { model_id: 'm', model: `${remote.url}gone`, model_lib: `${remote.url}library.wasm` };
  const gone = { model: 'm', webLlm: { appConfig: { model_list: [record] } } };
  expect(await loadMlc(gone)).toMatchObject({ outcome: 'network' });
  expect(await loadElement(gone)).toBe('network');
});

test('backend="web-llm" tells by code a wrong id, a missing library and a missing adapter', async () => {
  const record = { model_id: 'm', model: `${origin}none` };
  const noLibrary = { model: 'm', webLlm: { appConfig: { model_list: [record] } } };
  await page.route('**/mlc-chat-config.json', (route) => route.fulfill({ json: { conv_template: {} } }));
  const missing = await loadMlc(noLibrary);
  expect(missing.outcome, missing.message).toBe('config-invalid');
  await page.unroute('**/mlc-chat-config.json');
  expect(await loadMlc({ model: MLC_MODEL })).toMatchObject({ outcome: 'network' });
  for (const via of [(options: object) => loadMlc(options).then(({ outcome }) => outcome), loadElement]) {
    expect(await via({ model: 'no-such-model' })).toBe('model-unknown');
  }
  await page.evaluate(() => {
    navigator.gpu.requestAdapter = async () => null;
  });
  for (const via of [(options: object) => loadMlc(options).then(({ outcome }) => outcome), loadElement]) {
    expect(await via({ model: MLC_MODEL })).toBe('webgpu-unavailable');
  }
});

function loadElement(options: object): Promise<unknown> {
  return page.evaluate((given) => window.interfaces.webLlmElement(given as { model: string }), options);
}
