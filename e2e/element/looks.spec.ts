/**
 * Compares every state with a picture that somebody has looked at, at three widths, in both themes and both languages,
 * and looks for faults with axe.
 *
 * The fonts come with the tests: pictures do not depend on what a machine has. `--update-snapshots` makes new ones;
 * `node e2e/element/shrink-baselines.mjs` then takes two thirds off them.
 */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import type { Page } from '@playwright/test';
import type { AxeResults } from 'axe-core';
import type { EngineState } from '../../src/element/engine-controller.ts';
import { expect, test } from '../quiet-page.ts';
import { openElement } from './element-page.ts';
import type { AutoglmPage } from './element-page.ts';

const AXE = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const SAMPLES = fileURLToPath(new URL('../../public/samples/', import.meta.url));
const FONTS = `/@fs${fileURLToPath(new URL('../../node_modules/@fontsource/', import.meta.url))}`;
const NOON = Date.UTC(2026, 10, 27, 12);

type Locale = 'en' | 'zh';

/** Width and height: a phone, a tablet, a desk. */
const SIZES = [
  [360, 720],
  [768, 800],
  [1440, 800],
] as const;

const WORDS = {
  en: {
    task: 'Open Maps and find the way home',
    image: 'home.png',
    tap: '<think>Maps is in the first row. I will tap it.</think><answer>do(action="Tap", element=[139,95])</answer>',
    text: '<answer># Three ways\n\n1. **Tap** the icon\n2. Use the *search* field, see [help](https://example.com)\n\n| Way | Steps |\n|---|--:|\n| Icon | 1 |\n| Search | 3 |\n\n```ts\nawait phone.tap(139, 95);\n```\n\n> The first is the quickest.</answer>',
    swipe:
      '<think>Not on this page.</think><answer>do(action="Swipe", start=[800,500], end=[200,500])</answer>',
  },
  zh: {
    task: '打开地图，查看回家的路线',
    image: 'home-zh.png',
    tap: '<think>地图在第一行，我来点击它。</think><answer>do(action="Tap", element=[390,255])</answer>',
    text: '<answer># 三种方法\n\n1. **点击**图标\n2. 使用*搜索*框，参见[帮助](https://example.com)\n\n| 方法 | 步数 |\n|---|--:|\n| 图标 | 1 |\n| 搜索 | 3 |\n\n```ts\nawait phone.tap(139, 95);\n```\n\n> 第一种最快。</answer>',
    swipe: '<think>这一页没有。</think><answer>do(action="Swipe", start=[800,500], end=[200,500])</answer>',
  },
} as const;

type Show = (element: AutoglmPage, locale: Locale) => Promise<void>;

const LOADING: EngineState = {
  kind: 'loading',
  progress: { phase: 'downloading', loadedBytes: 2.7e9, totalBytes: 5.9e9, bytesPerSecond: 38e6 },
  startedAt: NOON,
  isPaused: false,
  plan: {
    contextWindow: 6144,
    cacheFormat: 'f16',
    visionFormat: 'q4',
    patchCount: 12432,
    proof: 'allocated',
    memory: {
      weightBytes: 5.1e9,
      cacheBytes: 2.5e8,
      scratchBytes: 3e8,
      visionBytes: 4e8,
      totalBytes: 6.05e9,
      largestBufferBytes: 3.3e8,
    },
    steps: [
      { kind: 'context', from: 8192, to: 6144, savedBytes: 8.4e7 },
      { kind: 'vision', from: 'f16', to: 'q4', savedBytes: 1.3e9 },
    ],
  },
};

const STATES: Readonly<Record<string, Show>> = {
  poster: async ({ chat }, locale) => {
    await expect(chat).toContainText(locale === 'en' ? 'Tried on this GPU' : '试分配');
  },
  loading: (element) => showEngine(element, LOADING),
  paused: (element) => showEngine(element, { ...LOADING, isPaused: true }),
  failed: (element) =>
    showEngine(element, {
      kind: 'failed',
      error: { code: 'webgpu-unavailable', message: 'The browser offers no adapter.' },
    }),
  empty: async (element, locale) => {
    await element.answerWith({ answers: [] });
    await element.page.evaluate(
      ([text, image]) => {
        window.chat.examples = [
          { text, image: `/samples/${image}` },
          { text: 'Tap Cancel', image: '/samples/dialog.png' },
          { text: '打开计算器', image: '/samples/apps-zh.png' },
        ];
      },
      [WORDS[locale].task, WORDS[locale].image] as const,
    );
    await expect(element.chat.locator('autoglm-message-list img')).toHaveCount(3);
  },
  streaming: async (element, locale) => {
    const words = WORDS[locale];
    await element.answerWith({ answers: [words.text], prefillMs: 0, tokenMs: 0, stallAfterTokens: 66 });
    await element.send(words.task);
    await expect(element.answers.getByRole('list')).toBeVisible();
  },
  action: async (element, locale) => {
    await attach(element, locale);
    await answer(element, locale, [WORDS[locale].tap]);
  },
  steps: async (element, locale) => {
    await attach(element, locale);
    await answer(element, locale, [WORDS[locale].swipe, WORDS[locale].tap]);
    await attach(element, locale);
    await answer(element, locale, [WORDS[locale].tap]);
    await attach(element, locale);
  },
  markdown: async (element, locale) => {
    await answer(element, locale, [WORDS[locale].text]);
  },
  trouble: async (element, locale) => {
    await element.page.evaluate(
      ([task, text]) =>
        window.chat.importHistory([
          { role: 'user', content: task },
          { role: 'assistant', content: text },
        ]),
      [WORDS[locale].task, WORDS[locale].tap] as const,
    );
    await element.answerWith({ answers: [WORDS[locale].tap], tokenMs: 0 });
    await element.page.evaluate(() => {
      const { conversation } = window.chat;
      const turns = conversation.turns.map((turn) =>
        turn.role === 'user'
          ? turn
          : {
              ...turn,
              finish: 'fault' as const,
              leftOutTurnCount: 4,
              fault: { code: 'device-lost' as const, message: 'The GPU was lost: another program took it.' },
            },
      );
      window.chat.show({ ...conversation, turns });
    });
  },
  badge: async (element, locale) => {
    await answer(element, locale, [WORDS[locale].tap], {
      adapter: 'nvidia ada-lovelace',
      contextWindow: 6144,
      gpuBytes: 6.05e9,
      reason: { code: 'fits', text: 'The model fits into this tab.' },
      ...(LOADING.kind === 'loading' && LOADING.plan !== null && { plan: LOADING.plan }),
    });
    await element.page.getByRole('button', { name: /^(?:Backend: |后端：)/ }).click();
  },
  history: async (element, locale) => {
    await answer(element, locale, [WORDS[locale].tap]);
    await element.page.evaluate(() => window.chat.saved);
    await element.page.evaluate(() => window.chat.showHistory());
    await expect(element.page.getByRole('dialog').getByRole('listitem')).toHaveCount(1);
  },
  storage: async ({ page }) => {
    await page.evaluate(async (now) => {
      const panel = window.chat.storagePanel;
      window.chat.showStorage();
      await new Promise((resolve) => setTimeout(resolve, 500));
      const base = { label: '', ownBytes: 5.9e9, lastUsed: now };
      panel.models = [
        {
          ...base,
          id: 'https://models.example/AutoGLM-Phone-9B-q4f16_1',
          keptBytes: 5.9e9,
          byteLength: 5.9e9,
          isComplete: true,
        },
        {
          ...base,
          id: 'https://models.example/autoglm-tiny-q4f16_1',
          keptBytes: 3.1e6,
          byteLength: 7.6e6,
          isComplete: false,
        },
      ];
      panel.usage = { usedBytes: 5.91e9, quotaBytes: 1e11, isPersisted: false };
    }, NOON);
  },
  zoom: async (element, locale) => {
    await attach(element, locale);
    await answer(element, locale, [WORDS[locale].tap]);
    await element.answers.locator('.screen').click();
    await expect(element.page.getByRole('dialog')).toBeVisible();
  },
};

// Recording each step takes longer than the step.
test.use({ trace: 'off' });

for (const [name, show] of Object.entries(STATES)) {
  test(`${name} looks as it should, and axe finds nothing`, async ({ page }) => {
    await page.clock.setFixedTime(NOON);
    for (const locale of ['en', 'zh'] as const) {
      await page.setViewportSize({ width: 1440, height: 800 });
      const element = await openElement(page, {
        attributes: `locale="${locale}" history-key="looks-${locale}"`,
      });
      await useFonts(page);
      // Nothing is under it.
      await page.mouse.move(0, 0);
      await show(element, locale);
      await page.evaluate(() => document.fonts.ready);
      for (const theme of ['light', 'dark'] as const) {
        await page.evaluate((value) => (window.chat.theme = value), theme);
        for (const [width, height] of SIZES) {
          await page.setViewportSize({ width, height });
          await expect.soft(page).toHaveScreenshot(`${name}-${width}-${theme}-${locale}.png`, {
            animations: 'disabled',
            caret: 'hide',
            // A word is more than that; another drawing of the same line is less.
            maxDiffPixels: 150,
            // The only figures that no test can fix: those of a stream that is going on.
            mask: name === 'streaming' ? [element.answers.locator('[part=figures]')] : [],
            maskColor: '#808080',
          });
        }
        expect.soft(await findViolations(page), `axe: ${name}, ${theme}, ${locale}`).toEqual([]);
      }
    }
  });
}

async function findViolations(page: Page): Promise<readonly string[]> {
  await page.evaluate(AXE);
  return page.evaluate(async () => {
    const { axe } = window as unknown as { axe: { run(): Promise<AxeResults> } };
    const { violations } = await axe.run();
    return violations.map(
      ({ id, nodes }) =>
        `${id}: ${nodes.map(({ target, failureSummary }) => `${target.join(' ')} ${failureSummary ?? ''}`).join('; ')}`,
    );
  });
}

async function useFonts(page: Page): Promise<void> {
  const styles = [400, 600].flatMap((weight) => [`noto-sans/${weight}`, `noto-sans-sc/${weight}`]);
  await Promise.all(
    [...styles, 'noto-sans-mono/400'].map((name) => page.addStyleTag({ url: `${FONTS}${name}.css` })),
  );
  await page.evaluate(async () => {
    window.chat.style.setProperty('--autoglm-font', "'Noto Sans', 'Noto Sans SC'");
    window.chat.style.setProperty('--autoglm-font-mono', "'Noto Sans Mono', 'Noto Sans SC'");
    await document.fonts.load("16px 'Noto Sans SC'", '中文');
    await document.fonts.load("16px 'Noto Sans'", 'abc');
  });
}

/** A state of the engine; an error's code would be lost on its way into the page. */
type ShownState =
  | Exclude<EngineState, { readonly kind: 'failed' }>
  | { readonly kind: 'failed'; readonly error: { readonly code: string; readonly message: string } };

/** Shows a state of the engine that no test could hold still: in the panel and in the badge. */
async function showEngine({ page, chat }: AutoglmPage, state: ShownState): Promise<void> {
  await expect(chat).toContainText(/7\.6/);
  await page.evaluate(async (shown) => {
    const browser = {
      browser: 'chromium',
      system: 'windows',
      version: 150,
      isSecure: true,
      hasWebGpu: true,
    } as const;
    for (const name of ['autoglm-load-panel', 'autoglm-backend-badge'] as const) {
      const part = window.chat.shadowRoot?.querySelector(name);
      if (!part) throw new Error(`No ${name}.`);
      // Also when the element renders again.
      Object.defineProperty(part, 'state', { get: () => shown, set: () => {} });
      part.browser = browser;
      part.requestUpdate();
      await part.updateComplete;
    }
  }, state);
}

async function attach({ page }: AutoglmPage, locale: Locale): Promise<void> {
  const items = page.locator('autoglm-composer').getByRole('listitem');
  await page.locator('input[type=file][multiple]').setInputFiles(`${SAMPLES}${WORDS[locale].image}`);
  await expect(items).toHaveCount(1);
  await expect(items).toContainText('200');
}

/** Sends and waits for the answer; its figures are made the same every time. */
async function answer(
  element: AutoglmPage,
  locale: Locale,
  answers: readonly string[],
  info: Parameters<AutoglmPage['answerWith']>[0]['info'] = {},
): Promise<void> {
  await element.answerWith({ answers, tokenMs: 0, prefillMs: 0, info });
  await element.send(WORDS[locale].task);
  await element.settled();
  await element.page.evaluate(() => {
    const { conversation } = window.chat;
    const figures = {
      promptTokens: 2040,
      completionTokens: 100,
      timeToFirstTokenMs: 900,
      tokensPerSecond: 48,
    };
    const turns = conversation.turns.map((turn) =>
      turn.role === 'user' ? turn : { ...turn, figures, thinkingMs: 1200 },
    );
    window.chat.show({ ...conversation, turns });
  });
}
