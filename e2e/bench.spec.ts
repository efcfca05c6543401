/** The bench page measures a model in its worker and gives the same JSON as the command. */
import { expect, test } from '@playwright/test';

test('the bench page measures the embedded model as its address asks', async ({ page }) => {
  const options = 'promptTokens=16&outputTokens=4&batches=1,2&cachedTokens=64&repeats=1&copyBandwidth=100';
  await page.goto(`/bench.html?${options}&start`);
  await expect(page.getByRole('status')).toHaveText('Done.', { timeout: 90_000 });
  await expect(page.getByLabel('Result', { exact: true })).toContainText('behind 64 tokens');
  const report = JSON.parse((await page.locator('#json').textContent()) ?? '');
  expect(report.rows).toHaveLength(3);
  for (const row of report.rows) {
    expect(row).toMatchObject({ device: 'webgpu', quant: 'q4f16_1', promptTokens: 16, outputTokens: 4 });
    for (const figure of [
      'decodeTokensPerSecond',
      'effectiveGBps',
      'dispatchesPerToken',
      'loadMs',
    ] as const) {
      expect(row[figure], figure).toBeGreaterThan(0);
    }
    expect(row.shareOfCopy).toBeCloseTo(row.effectiveGBps / 100, 9);
  }
});
