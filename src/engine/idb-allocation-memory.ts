import { createKeyValueStore } from '../storage/key-value-store.ts';
import type { AllocationMemory, AllocationRecord } from './allocation-memory.ts';

/** Remembers proofs in IndexedDB, where there is one that works. */
export function createAllocationMemory(databaseName = 'autoglm-adapters'): AllocationMemory {
  const store = createKeyValueStore(databaseName);
  return {
    get: (adapter) => store.get<AllocationRecord>(adapter).catch(() => undefined),
    put: (adapter, record) => store.set([[adapter, record]]).catch(() => {}),
  };
}
