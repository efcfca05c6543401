/** The stores that need no browser; the one in IndexedDB runs in the browser tests. */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { KeyValueStore } from './key-value-store.ts';
import { createMemoryKeyValueStore } from './memory-key-value-store.ts';
import { createNodeKeyValueStore } from './node-key-value-store.ts';

const folders: string[] = [];
afterAll(async () => {
  for (const folder of folders) await rm(folder, { recursive: true });
});
async function createFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'autoglm-store-'));
  folders.push(folder);
  return folder;
}

const STORES: readonly (readonly [string, () => Promise<KeyValueStore>])[] = [
  ['memory', async () => createMemoryKeyValueStore()],
  ['files', async () => createNodeKeyValueStore(join(await createFolder(), 'new'))],
];

describe.each(STORES)('a store in %s', (_, create) => {
  it('gives back what was set last, bytes as bytes', async () => {
    const store = await create();
    expect(await store.get('a/1')).toBeUndefined();
    expect(await store.keysBelow('')).toEqual([]);
    const bytes = Uint8Array.of(1, 2, 255);
    await store.set([
      ['a/1', bytes],
      ['a/ü?:"', { list: [1, 'x'], nothing: null }],
    ]);
    bytes[0] = 9;
    expect(await store.get('a/1')).toEqual(Uint8Array.of(1, 2, 255));
    expect(await store.get('a/ü?:"')).toEqual({ list: [1, 'x'], nothing: null });
    await store.set([['a/ü?:"', 'other']]);
    expect(await store.get('a/ü?:"')).toBe('other');
  });

  it('lists keys below a prefix, and forgets what is deleted', async () => {
    const store = await create();
    await store.set([
      ['a/1', 1],
      ['a/2', Uint8Array.of(2)],
      ['b/1', 3],
    ]);
    expect((await store.keysBelow('a/')).toSorted()).toEqual(['1', '2']);
    await store.delete(['a/1', 'a/2', 'c']);
    expect(await store.keysBelow('a/')).toEqual([]);
    expect(await store.get('a/2')).toBeUndefined();
    expect(await store.get('b/1')).toBe(3);
  });
});

describe('a store in files', () => {
  it('is the same for the next process, and leaves no other files', async () => {
    const folder = await createFolder();
    await createNodeKeyValueStore(folder).set([['key', { a: 1 }]]);
    expect(await createNodeKeyValueStore(folder).get('key')).toEqual({ a: 1 });
    expect(await readdir(folder)).toEqual(['key.json']);
  });
});
