import type { ShardReader } from './shard-cache.ts';

/** Reads a Blob in order without ever holding more of it than one buffer. */
export function createBlobReader(blob: Blob): ShardReader {
  return createByobReader(blob) ?? createSliceReader(blob);
}

/**
 * Keeps readers reachable while they wait: Chromium 156 collects a Blob's stream whose reader is only known to
 * the function that awaits it, and the read then never ends.
 */
const openReaders = new Set<ReadableStreamBYOBReader>();

/** Twice as fast as slices in Chromium; not every browser's Blob streams fill a given buffer. */
function createByobReader(blob: Blob): ShardReader | undefined {
  const reader = openByob(blob);
  if (reader === undefined) return undefined;
  openReaders.add(reader);
  return {
    async read(buffer) {
      let memory = buffer;
      let filled = 0;
      while (filled < memory.byteLength) {
        const { done, value } = await reader.read(new Uint8Array(memory, filled));
        if (value === undefined) break;
        memory = value.buffer;
        filled += value.byteLength;
        if (done) break;
      }
      return new Uint8Array(memory, 0, filled);
    },
    close: async () => {
      openReaders.delete(reader);
      await reader.cancel().catch(() => {});
    },
  };
}

function openByob(blob: Blob): ReadableStreamBYOBReader | undefined {
  try {
    return blob.stream().getReader({ mode: 'byob' });
  } catch {
    return undefined;
  }
}

function createSliceReader(blob: Blob): ShardReader {
  let position = 0;
  return {
    async read(buffer) {
      const slice = blob.slice(position, position + buffer.byteLength);
      position += slice.size;
      return new Uint8Array(await slice.arrayBuffer());
    },
    close: async () => {},
  };
}
