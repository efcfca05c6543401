/** What a tab that is closed or killed at any moment leaves behind; the browser tests run the same in IndexedDB. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createIdbShardCache } from './idb-shard-cache.ts';
import type { KeyValueStore } from './key-value-store.ts';
import { createMemoryKeyValueStore } from './memory-key-value-store.ts';

const KEY = 'sha256-of-it';
const PIECES = [Uint8Array.of(1, 2, 3), Uint8Array.of(4, 5, 6), Uint8Array.of(7)];
const BYTE_LENGTH = 7;
/** Bytes that are kept after so many changes: each piece is written, then all of them as one. */
const KEPT_BYTES = [0, 3, 6, 7, 7];
/** Longer than what is taken may wait before it is written. */
const BETWEEN_PIECES_MS = 3000;

beforeEach(() => void vi.useFakeTimers({ toFake: ['performance'] }));
afterEach(() => void vi.useRealTimers());

/** A tab that dies before a change: nothing is changed from then on, and nobody is told. */
class DyingTab {
  readonly store: KeyValueStore;
  readonly whenDead: Promise<void>;
  changeCount = 0;

  constructor(store: KeyValueStore, deadlyChange: number) {
    let die = (): void => {};
    this.whenDead = new Promise((resolve) => {
      die = resolve;
    });
    const change = async (work: () => Promise<void>): Promise<void> => {
      if (this.changeCount === deadlyChange) {
        die();
        return new Promise(() => {});
      }
      await work();
      this.changeCount += 1;
    };
    this.store = {
      ...store,
      set: (...args) => change(() => store.set(...args)),
      delete: (...args) => change(() => store.delete(...args)),
    };
  }
}

async function keep(store: KeyValueStore): Promise<void> {
  const partial = await createIdbShardCache('', store).openPartial(KEY);
  for (const [index, piece] of PIECES.entries()) {
    vi.advanceTimersByTime(BETWEEN_PIECES_MS);
    await partial.append(piece, `digest ${index}`);
  }
  await partial.commit();
}

/** Lets a tab keep the shard until it is done or dead. @returns the changes that it made. */
async function keepUntilDead(store: KeyValueStore, deadlyChange: number): Promise<number> {
  const tab = new DyingTab(store, deadlyChange);
  await Promise.race([keep(tab.store), tab.whenDead]);
  return tab.changeCount;
}

describe('createIdbShardCache', () => {
  it('keeps a shard once, whole or in part, whenever its tab dies', async () => {
    expect(await keepUntilDead(createMemoryKeyValueStore(), Infinity)).toBe(KEPT_BYTES.length - 1);
    for (const [changeIndex, keptBytes] of KEPT_BYTES.entries()) {
      const store = createMemoryKeyValueStore();
      await keepUntilDead(store, changeIndex);
      const cache = createIdbShardCache('', store);
      const isWhole = changeIndex === KEPT_BYTES.length - 1;
      expect(await cache.list()).toEqual(
        keptBytes === 0 ? [] : [{ key: KEY, byteLength: keptBytes, isWhole }],
      );
      expect(await cache.keptBytes(KEY)).toBe(keptBytes);
      // Nothing lies about that no list shows and nobody deletes.
      expect((await store.keysBelow('partial/')).length).toBe(isWhole ? 0 : changeIndex);
      expect((await cache.openPartial(KEY)).byteLength).toBe(isWhole ? 0 : keptBytes);
    }
  });

  it('goes on where a dead tab stopped, and gives back what was put in', async () => {
    const store = createMemoryKeyValueStore();
    await keepUntilDead(store, 2);
    const cache = createIdbShardCache('', store);
    const partial = await cache.openPartial(KEY);
    expect(partial.pieceDigests).toEqual(['digest 0', 'digest 1']);
    await partial.append(PIECES[2] as Uint8Array<ArrayBuffer>, 'digest 2');
    await partial.commit();
    const cached = await cache.get(KEY);
    expect(cached?.pieceDigests).toEqual(['digest 0', 'digest 1', 'digest 2']);
    const reader = await cached?.openReader();
    expect(await reader?.read(new ArrayBuffer(100))).toEqual(Uint8Array.of(1, 2, 3, 4, 5, 6, 7));
    await reader?.close();
    expect(await store.keysBelow('partial')).toEqual([]);
  });

  it('lists a shard once that becomes whole while the list is made', async () => {
    const store = createMemoryKeyValueStore();
    const cache = createIdbShardCache('', store);
    const partial = await cache.openPartial(KEY);
    for (const [index, piece] of PIECES.entries()) await partial.append(piece, `digest ${index}`);
    await partial.close();
    let isCommitted = false;
    const whileCommitted = createIdbShardCache('', {
      ...store,
      keysBelow: async (prefix) => {
        const keys = await store.keysBelow(prefix);
        if (keys.length > 0 && !isCommitted) {
          isCommitted = true;
          await partial.commit();
        }
        return keys;
      },
    });
    expect((await whileCommitted.list()).filter(({ byteLength }) => byteLength > 0)).toEqual([
      { key: KEY, byteLength: BYTE_LENGTH, isWhole: true },
    ]);
    expect(isCommitted).toBe(true);
  });
});
