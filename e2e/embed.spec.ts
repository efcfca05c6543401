/** Checks the page that shows how to embed: the code it shows is what runs, and nothing heavy comes by itself. */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import type { AxeResults } from 'axe-core';
import { expect, test } from './quiet-page.ts';

const AXE = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

test('it shows code beside what it does, and fetches nothing heavy by itself', async ({ page }) => {
  const heavy: string[] = [];
  page.on('request', (request) => {
    if (/params_shard|engine-worker/.test(request.url())) heavy.push(request.url());
  });
  await page.goto('/embed.html');
  const pairs = page.locator('.pair');
  await expect(pairs).toHaveCount(3);
  for (const pair of await pairs.all()) {
    await expect(pair.getByRole('region', { name: 'Code' })).toContainText('<autoglm-chat');
    await expect(pair.getByRole('button', { name: 'Load AutoGLM' })).toBeVisible();
  }
  await expect(pairs.nth(1)).toContainText('Show us your screen');
  // A script inside of a template runs when its copy comes into the page.
  await expect
    .poll(() =>
      page.evaluate(
        () => document.querySelector<HTMLElementTagNameMap['autoglm-chat']>('#told')?.examples.length,
      ),
    )
    .toBe(1);
  expect(heavy).toEqual([]);
  await page.evaluate(AXE);
  const violations = await page.evaluate(async () => {
    const { axe } = window as unknown as { axe: { run(): Promise<AxeResults> } };
    return (await axe.run()).violations.map(
      ({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(' ')).join('; ')}`,
    );
  });
  expect(violations).toEqual([]);
});
