import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Page } from '@playwright/test';
import { expect, test as base } from './fixtures.ts';

/** Adds the model as a folder on disk. */
const test = base.extend<{ path: string }>({
  path: async ({ folder }, use) => {
    const root = await mkdtemp(join(tmpdir(), 'autoglm-folder-'));
    const path = join(root, 'random-model');
    await mkdir(path);
    for (const [name, bytes] of folder.files) await writeFile(join(path, name), bytes);
    await use(path);
    await rm(root, { recursive: true });
  },
});

test('a folder picked by a plain file input loads', async ({ folder, path, openTab }) => {
  const page = await openTab();
  await page.setContent('<input type="file" webkitdirectory />');
  await page.locator('input').setInputFiles(path);
  const result = await page.evaluate(async () => {
    const input = document.querySelector('input') as HTMLInputElement;
    const source = window.storageTest.createFileListSource(input.files ?? []);
    return { label: source.label, ...(await window.storageTest.loadFrom(source, 'none')) };
  });
  expect(result.error).toBeUndefined();
  expect(result.label).toBe('random-model');
  expect(result.tensorHashes).toEqual(Object.fromEntries(folder.tensorHashes));
});

test('dropped files load into the cache', async ({ folder, path, openTab }) => {
  const page = await openTab();
  await page.setContent('<input type="file" multiple />');
  await page.locator('input').setInputFiles([...folder.files.keys()].map((name) => join(path, name)));
  const result = await page.evaluate(async () => {
    const { files } = document.querySelector('input') as HTMLInputElement;
    const transfer = new DataTransfer();
    for (const file of files ?? []) transfer.items.add(file);
    const dropped = await window.storageTest.collectDroppedFiles(transfer.items);
    return window.storageTest.loadFrom(
      window.storageTest.createFileListSource(dropped, 'dropped'),
      'indexeddb',
    );
  });
  expect(result.error).toBeUndefined();
  expect(result.tensorHashes).toEqual(Object.fromEntries(folder.tensorHashes));
});

test('a folder without a shard says which one', async ({ path, openTab }) => {
  await rm(join(path, 'params_shard_2.bin'));
  expect(await loadPicked(await openTab(), path)).toMatchObject({
    error: { code: 'file-missing', value: 'params_shard_2.bin' },
  });
});

test('a folder with a short shard says which one', async ({ path, openTab }) => {
  await writeFile(join(path, 'params_shard_2.bin'), Buffer.alloc(77));
  expect(await loadPicked(await openTab(), path)).toMatchObject({
    error: { code: 'shard-truncated', value: 77 },
  });
});

test('a folder with a damaged shard says so', async ({ folder, path, openTab }) => {
  const bytes = Uint8Array.from(folder.files.get('params_shard_2.bin') as Uint8Array);
  bytes[1000] = (bytes[1000] as number) ^ 1;
  await writeFile(join(path, 'params_shard_2.bin'), bytes);
  expect(await loadPicked(await openTab(), path)).toMatchObject({ error: { code: 'shard-corrupt' } });
});

async function loadPicked(page: Page, path: string) {
  await page.setContent('<input type="file" webkitdirectory />');
  await page.locator('input').setInputFiles(path);
  return page.evaluate(() => {
    const { files } = document.querySelector('input') as HTMLInputElement;
    return window.storageTest.loadFrom(window.storageTest.createFileListSource(files ?? []), 'none');
  });
}
