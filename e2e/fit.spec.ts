/** The page that tells which cards hold the model: the README's table, and a plan for the visitor's own card. */
import { readFileSync } from 'node:fs';
import { expect, test } from './quiet-page.ts';

const README = readFileSync(new URL('../README.md', import.meta.url), 'utf8');

test('the fit page shows the table of the README, and plans the card that is typed in', async ({ page }) => {
  await page.goto('/fit.html');
  const written = /<!-- fit-table -->\n(.*)\n<!-- \/fit-table -->/s.exec(README)?.[1] ?? '';
  const rows = written
    .trim()
    .split('\n')
    .slice(2)
    .map((line) =>
      line
        .split('|')
        .map((cell) => cell.trim())
        .slice(1, -1),
    );
  const shown = page.getByRole('table', { name: 'Cards and contexts' }).locator('tbody tr');
  await expect(shown).toHaveCount(rows.length);
  for (const [index, cells] of rows.entries()) {
    await expect(shown.nth(index).locator('th, td')).toHaveText(cells);
  }

  const plan = page.getByRole('table', { name: 'Plan for your card' });
  const fill = async (card: number, context: number): Promise<void> => {
    await page.getByLabel('Memory of the card, GB').fill(String(card));
    await page.getByLabel('Context, tokens').fill(String(context));
  };
  await fill(24, 8192);
  await expect(plan.getByRole('row', { name: 'Result' })).toHaveText('Result8.4 GB');
  await expect(plan).not.toContainText('Given up');
  await fill(8, 25480);
  await expect(plan).toContainText(/Given upvision tower f16 to q4 \(saves \d+ MB\)/);
  await expect(plan).toContainText(/Given upKV cache f16 to q8 \(saves \d+ MB\)/);
  await fill(4, 8192);
  await expect(plan).toContainText('no: needs');
});
