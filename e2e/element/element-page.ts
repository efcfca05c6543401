/** A page that holds nothing but `<autoglm-chat>`, with an engine that answers from a script where a test wants one. */
import { fileURLToPath } from 'node:url';
import type { Locator, Page } from '@playwright/test';
import type { AutoglmChat } from '../../src/element/chat.ts';
import type { createScriptedEngine, Script } from '../../src/element/scripted-engine.test-support.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

declare global {
  interface Window {
    chat: AutoglmChat;
    createScriptedEngine: typeof createScriptedEngine;
  }
}

/** What the page is like. */
export interface ElementPageOptions {
  /** Attributes of the element. Default: a model that no test loads, and no history. */
  readonly attributes?: string;
  readonly theme?: 'light' | 'dark';
  /** Headers of the page, such as a content security policy. */
  readonly headers?: Record<string, string>;
}

const MODEL = 'model="models/autoglm-tiny-q4f16_1"';

/** Opens the page and waits until the element is there. */
export async function openElement(page: Page, options: ElementPageOptions = {}): Promise<AutoglmPage> {
  const { attributes = 'history-key=""', theme = 'light', headers = {} } = options;
  // A worker of the tab's own: its requests, its console and its end are then the page's to see.
  await page.addInitScript(() => Reflect.deleteProperty(window, 'SharedWorker'));
  await page.route('**/element-test', (route) =>
    route.fulfill({
      contentType: 'text/html',
      headers,
      body: `<!doctype html><html lang="en"><head><title>Element</title>
        <link rel="stylesheet" href="/main.css" /><link rel="icon" href="/icon.svg" /></head>
        <body><main><autoglm-chat ${MODEL} theme="${theme}" ${attributes}
          ><h1 slot="header">AutoGLM</h1></autoglm-chat></main>
        <script type="module" src="/element-test.js"></script></body></html>`,
    }),
  );
  await page.route('**/element-test.js', (route) =>
    route.fulfill({
      contentType: 'text/javascript',
      body: `import '/@fs${ROOT}src/element/index.ts';
        import { createScriptedEngine } from '/@fs${ROOT}src/element/scripted-engine.test-support.ts';
        Object.assign(window, { chat: document.querySelector('autoglm-chat'), createScriptedEngine });`,
    }),
  );
  await page.goto('/element-test');
  await page.waitForFunction(() => window.chat?.hasUpdated);
  return new AutoglmPage(page);
}

/** The parts of the element, as a person finds them. */
export class AutoglmPage {
  readonly page: Page;
  readonly chat: Locator;
  readonly input: Locator;
  readonly log: Locator;
  readonly answers: Locator;
  readonly questions: Locator;

  constructor(page: Page) {
    this.page = page;
    this.chat = page.locator('autoglm-chat');
    this.input = page.getByRole('textbox', { name: /^(?:Message|消息)$/ });
    this.log = page.getByRole('log');
    this.answers = page.locator('autoglm-assistant-message');
    this.questions = page.locator('autoglm-user-message');
  }

  /** Hands in an engine that answers from the script. */
  async answerWith(script: Script): Promise<void> {
    await this.page.evaluate((plain) => {
      window.chat.engine = window.createScriptedEngine(plain);
    }, script);
    await this.input.waitFor();
  }

  button(name: string): Locator {
    return this.page.getByRole('button', { name, exact: true });
  }

  async send(text: string): Promise<void> {
    await this.input.fill(text);
    await this.input.press('Enter');
  }

  /** Waits until no answer is being written. */
  async settled(): Promise<void> {
    await this.page.waitForFunction(() => !window.chat.matches(':state(streaming)'));
  }
}
