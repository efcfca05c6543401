/** Checks what axe cannot see: announcements, direction, zoom, and users' own colours. `looks.spec.ts` has axe. */
import type { Page } from '@playwright/test';
import type * as Element from '../../src/element/index.ts';
import { expect, test } from '../quiet-page.ts';
import { openElement } from './element-page.ts';

const HOME = new URL('../../public/samples/home.png', import.meta.url).pathname;
const TAP = '<think>Maps is in row 1, column 1.</think><answer>do(action="Tap", element=[139,95])</answer>';
const MARKDOWN =
  '<answer># List\n\n- one\n- [two](https://example.com)\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```ts\nconst a = 1;\n```</answer>';

test('an answer is announced once, at its end', async ({ page }) => {
  const element = await openElement(page);
  await element.answerWith({ answers: [TAP], tokenMs: 5 });
  await page.evaluate(() => {
    const said: string[] = [];
    Object.assign(window, { said });
    const status = window.chat.shadowRoot?.querySelector('[role=status]') as Node;
    new MutationObserver(() => said.push(status.textContent ?? '')).observe(status, {
      characterData: true,
      childList: true,
      subtree: true,
    });
  });
  await element.send('Open Maps');
  await element.settled();
  await page.waitForTimeout(200);
  const said = await page.evaluate(() => (window as unknown as { said: string[] }).said);
  expect(said).toEqual(['AutoGLM answered: Tap 139, 95 of 1000']);
  await expect(element.log).toHaveAttribute('aria-live', 'off');
});

test('a right-to-left language mirrors the layout, not the screenshot', async ({ page }) => {
  const element = await openElement(page, { attributes: 'history-key="" locale="ar"' });
  const path = `/@fs${new URL('../../src/element/index.ts', import.meta.url).pathname}`;
  await page.evaluate(async (url) => {
    const { registerStrings } = (await import(url)) as typeof Element;
    registerStrings('ar', { message: 'Message', placeholder: 'اكتب…' });
  }, path);
  await element.answerWith({ answers: [TAP], tokenMs: 0 });
  await attach(page);
  await element.send('افتح الخرائط');
  await element.settled();
  const box = async (selector: string) =>
    (await page.locator(selector).first().boundingBox()) ?? { x: 0, width: 0 };
  const [bubble, answer, screen, mark] = [
    await box('.bubble'),
    await box('.answer'),
    await box('.screen'),
    await box('.mark .dot'),
  ];
  expect(bubble.x).toBeLessThan(answer.x);
  expect(screen.x).toBeLessThan(answer.x);
  expect((mark.x + mark.width / 2 - screen.x) / screen.width).toBeCloseTo(0.139, 2);
});

test('a phone column of 320 pixels needs no sideways scrolling, also with the text at 200%', async ({
  page,
}) => {
  await page.setViewportSize({ width: 320, height: 640 });
  const element = await openElement(page, { attributes: '' });
  await element.answerWith({ answers: [TAP, MARKDOWN], tokenMs: 0 });
  await attach(page);
  await element.send(`Open ${'Donaudampfschifffahrt'.repeat(6)}`);
  await element.settled();
  await element.send('List');
  await element.settled();
  for (const size of ['100%', '200%']) {
    await page.evaluate((value) => {
      document.documentElement.style.fontSize = value;
    }, size);
    const wide = await page.evaluate(() => {
      const found: string[] = [];
      const visit = (root: ParentNode) => {
        for (const node of root.querySelectorAll('*')) {
          if (node.shadowRoot) visit(node.shadowRoot);
          const { left, right } = node.getBoundingClientRect();
          const isScrolled = node.closest('pre, .table, .visually-hidden, dialog') !== null;
          if (node.checkVisibility() && !isScrolled && (right > 320.5 || left < -0.5))
            found.push(`${node.localName}.${node.className} ${left}-${right}`);
        }
      };
      visit(document.body);
      return found;
    });
    expect.soft(wide, size).toEqual([]);
  }
});

test('reduced motion and forced colours keep the mark visible', async ({ page }) => {
  await page.emulateMedia({ reducedMotion: 'reduce', forcedColors: 'active' });
  const element = await openElement(page);
  await element.answerWith({ answers: [TAP], tokenMs: 0 });
  await attach(page);
  await element.send('Open Maps');
  await element.settled();
  await page.waitForTimeout(100);
  const running = await page.evaluate(
    () => document.getAnimations().filter(({ playState }) => playState === 'running').length,
  );
  expect(running).toBe(0);
  const stroke = await element.answers
    .locator('.mark .ring')
    .first()
    .evaluate((ring) => getComputedStyle(ring).stroke);
  expect(stroke).toBe('rgb(255, 90, 54)');
});

async function attach(page: Page): Promise<void> {
  const items = page.locator('autoglm-composer').getByRole('listitem');
  const count = await items.count();
  await page.locator('input[type=file][multiple]').setInputFiles(HOME);
  await expect(items).toHaveCount(count + 1);
}
