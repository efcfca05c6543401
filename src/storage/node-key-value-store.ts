import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { KeyValueStore } from './key-value-store.ts';

/** Bytes lie in a file as they are, everything else as JSON. */
const BYTES = '.bin';
const JSON_TEXT = '.json';

/** Keeps records as files of a folder, one each. A file is replaced whole, so that a killed process leaves no half of one. */
export function createNodeKeyValueStore(folder: string): KeyValueStore {
  const path = (key: string, kind: string): string => join(folder, encodeURIComponent(key) + kind);
  const remove = async (key: string): Promise<void> => {
    await Promise.all([BYTES, JSON_TEXT].map((kind) => rm(path(key, kind), { force: true })));
  };
  const write = async (key: string, value: unknown): Promise<void> => {
    const isBytes = value instanceof Uint8Array;
    const target = path(key, isBytes ? BYTES : JSON_TEXT);
    await writeFile(`${target}.new`, isBytes ? value : JSON.stringify(value));
    await rename(`${target}.new`, target);
  };
  return {
    get: async <T>(key: string) => {
      const bytes = await readOptional(path(key, BYTES));
      if (bytes) return new Uint8Array(bytes) as T;
      const text = await readOptional(path(key, JSON_TEXT));
      return text ? (JSON.parse(text.toString('utf8')) as T) : undefined;
    },
    // A process that is killed in here leaves what is replaced beside what replaces it, and loses neither.
    set: async (entries, replacedKeys = []) => {
      await mkdir(folder, { recursive: true });
      for (const [key, value] of entries) await write(key, value);
      for (const key of replacedKeys) await remove(key);
    },
    delete: async (keys) => {
      for (const key of keys) await remove(key);
    },
    keysBelow: async (prefix) => {
      const files = await readdir(folder).catch(() => []);
      return files
        .filter((file) => file.endsWith(BYTES) || file.endsWith(JSON_TEXT))
        .map((file) => decodeURIComponent(file.replace(/\.(bin|json)$/, '')))
        .filter((key) => key.startsWith(prefix))
        .map((key) => key.slice(prefix.length));
    },
  };
}

async function readOptional(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
