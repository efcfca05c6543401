/** One engine for all tabs: the shared worker, how it is joined and left, and the worker of a tab's own without it. */
import { expect, test, type BrowserContext, type Page } from '@playwright/test';
import type { createEngine } from '../src/engine/create-engine.ts';
import type { Engine } from '../src/engine/engine.ts';
import type { EngineOptions } from '../src/engine/engine-options.ts';

/** What the tests keep in a tab. */
interface TabWindow {
  engine: Engine;
  /** Text of the answer that is being given. */
  text: string;
  answering: Promise<string>;
}

const ENGINE_MODULE = `/@fs${new URL('../src/engine/create-engine.ts', import.meta.url).pathname}`;
const MODEL = '/models/autoglm-tiny-q4f16_1';

async function openTab(context: BrowserContext): Promise<Page> {
  const page = await context.newPage();
  await page.route('**/blank', (route) => route.fulfill({ contentType: 'text/html', body: '<p></p>' }));
  await page.goto('/blank');
  return page;
}

/** Loads the embedded model; returns the phases that the tab was told of. */
function load(page: Page, options: Pick<EngineOptions, 'worker'> = {}): Promise<string[]> {
  return page.evaluate(
    async ([address, model, more]) => {
      const { createEngine: create } = (await import(address)) as { createEngine: typeof createEngine };
      const phases: string[] = [];
      const engine = await create({
        model,
        backend: 'webgpu',
        contextWindow: 1024,
        ...more,
        onProgress: ({ phase }) => {
          if (phases.at(-1) !== phase) phases.push(phase);
        },
      });
      Object.assign(window, { engine, text: '' });
      return phases;
    },
    [ENGINE_MODULE, MODEL, options] as const,
  );
}

/** Begins an answer; it goes on in the tab. */
function begin(page: Page, content: string, maxTokens: number): Promise<void> {
  return page.evaluate(
    async ([words, most]) => {
      const tab = window as unknown as TabWindow;
      tab.text = '';
      const messages = [{ role: 'user', content: words } as const];
      const stream = await tab.engine.chat.completions.create({
        messages,
        max_tokens: most,
        temperature: 0,
        stream: true,
        ignore_eos: true,
      });
      tab.answering = (async () => {
        for await (const { choices } of stream) tab.text += choices[0]?.delta.content ?? '';
        return tab.text;
      })();
      tab.answering.catch(() => {});
    },
    [content, maxTokens] as const,
  );
}

async function answer(page: Page, content: string, maxTokens = 12): Promise<string> {
  await begin(page, content, maxTokens);
  return page.evaluate(() => (window as unknown as TabWindow).answering);
}

/** Workers of the browser by kind. */
async function workerKinds(page: Page): Promise<string[]> {
  const session = await page.context().newCDPSession(page);
  const { targetInfos } = await session.send('Target.getTargets');
  await session.detach();
  return targetInfos.map(({ type }) => type).filter((type) => type.includes('worker'));
}

test('tabs share one engine, which outlives the tab that loaded it and ends with the last', async ({
  context,
}) => {
  const [first, second] = [await openTab(context), await openTab(context)];
  // Both at once: one load, of which both are told.
  const [firstPhases, secondPhases] = await Promise.all([load(first), load(second)]);
  expect(firstPhases).toContain('compiling');
  expect(secondPhases).toContain('compiling');
  expect(first.workers()).toEqual([]);
  expect(await workerKinds(first)).toEqual(['shared_worker']);

  const alone = await answer(second, 'Open Maps');
  const text = () => first.evaluate(() => (window as unknown as TabWindow).text);
  await begin(first, 'Tell me a long story.', 900);
  await expect.poll(text).not.toBe('');
  await begin(second, 'Open Maps', 12);
  await first.close();
  expect(await second.evaluate(() => (window as unknown as TabWindow).answering)).toBe(alone);

  // Three more join what is there: nothing is read, uploaded or compiled.
  const others = await Promise.all([1, 2, 3].map(() => openTab(context)));
  expect(await Promise.all(others.map((page) => load(page)))).toEqual([['ready'], ['ready'], ['ready']]);
  const five = [second, ...others];
  const answers = await Promise.all(five.map((page) => answer(page, 'Open Maps')));
  expect(new Set(answers)).toEqual(new Set([alone]));

  // Unloading in one tab leaves it to the others; the last one, closed or unloaded, ends it.
  await others[0]!.evaluate(() => (window as unknown as TabWindow).engine.unload());
  expect(await answer(second, 'Open Maps')).toBe(alone);
  await others[1]!.close();
  await others[2]!.close();
  await second.evaluate(() => (window as unknown as TabWindow).engine.unload());
  expect(await load(second)).toContain('compiling');
});

/** Starts a load and waits for the worker that it starts, not for the load. */
async function startsOwnWorker(page: Page, options?: Pick<EngineOptions, 'worker'>): Promise<boolean> {
  const starting = page.waitForEvent('worker');
  const loading = load(page, options).catch(() => []);
  await starting;
  const kinds = await workerKinds(page);
  await page.close();
  await loading;
  return !kinds.includes('shared_worker');
}

test('a tab that asks for a worker of its own gets one', async ({ context }) => {
  expect(await startsOwnWorker(await openTab(context), { worker: 'dedicated' })).toBe(true);
});

test('a browser without shared workers loads in a worker of the tab', async ({ context }) => {
  await context.addInitScript(() => Reflect.deleteProperty(window, 'SharedWorker'));
  expect(await startsOwnWorker(await openTab(context))).toBe(true);
});
