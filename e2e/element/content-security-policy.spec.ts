/** Checks that the element works under a strict content security policy with Trusted Types. */
import type { Page } from '@playwright/test';
import { expect, test } from '../quiet-page.ts';
import { openElement } from './element-page.ts';

const HOME = new URL('../../public/samples/home.png', import.meta.url).pathname;

/** What a page has to allow: its own scripts and styles, and blob: for the screenshots that it shows. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' blob:",
  // The model's files, and the development server's own channel.
  "connect-src 'self' ws:",
  "worker-src 'self'",
  "require-trusted-types-for 'script'",
  'trusted-types lit-html dompurify autoglm',
].join('; ');

test('a whole conversation breaks no rule of the policy', async ({ page }) => {
  await recordViolations(page);
  const element = await openElement(page, {
    attributes: 'history-key="csp"',
    headers: { 'content-security-policy': POLICY },
  });
  await element.answerWith({
    answers: [
      '<think>Maps.</think><answer>do(action="Swipe", start=[800,500], end=[200,500])</answer>',
      '<answer># Title\n\n| a |\n|:-:|\n| 1 |\n\n```ts\nconst a = 1;\n```\n\n<b style="color:red">raw</b></answer>',
    ],
    tokenMs: 1,
  });
  await page.locator('input[type=file][multiple]').setInputFiles(HOME);
  await element.send('Open Video');
  await element.settled();
  await element.answers.locator('.screen').click();
  await page.keyboard.press('Escape');
  await element.send('Explain');
  await element.settled();
  await element.button('History').click();
  await page.keyboard.press('Escape');
  await page.evaluate(async () => window.chat.importHistory(await window.chat.exportHistory()));
  await expect(element.answers).toHaveCount(2);
  expect(await readViolations(page)).toEqual([]);
});

test('the real engine loads and answers under the policy', async ({ page }) => {
  await recordViolations(page);
  const element = await openElement(page, {
    attributes: 'history-key="" loading="eager"',
    headers: { 'content-security-policy': POLICY },
  });
  await element.send('Who are you?');
  await expect(element.answers).toContainText('tok/s', { timeout: 120_000 });
  expect(await readViolations(page)).toEqual([]);
});

async function recordViolations(page: Page): Promise<void> {
  await page.addInitScript(() => {
    const broken: string[] = [];
    Object.assign(window, { broken });
    document.addEventListener('securitypolicyviolation', (event) =>
      broken.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`),
    );
  });
}

function readViolations(page: Page): Promise<readonly string[]> {
  return page.evaluate(() => (window as unknown as { broken: string[] }).broken);
}
