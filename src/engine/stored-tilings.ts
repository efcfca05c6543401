import type { TilingMemory } from '../model/tiling-memory.ts';
import type { KeyValueStore } from '../storage/key-value-store.ts';

/** Remembers tilings in a store, where there is one that works. */
export function storeTilings(store: KeyValueStore): TilingMemory {
  return {
    get: (key) => store.get(key).catch(() => undefined),
    put: (key, tilings) => store.set([[key, tilings]]).catch(() => {}),
  };
}
