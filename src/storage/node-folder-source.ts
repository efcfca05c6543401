import { open, readFile, type FileHandle } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import { AutoglmError, isAutoglmError } from '../base/errors.ts';
import { wrongLength } from './http-response.ts';
import type { OpenFileOptions, ReadOptions, ShardSource } from './shard-source.ts';

const READ_BYTES = 4 * 1024 * 1024;
const READS_AHEAD = 2;

/** A model folder on disk. Node only. */
export function createNodeFolderSource(folder: string): ShardSource {
  const root = resolve(folder);
  const readText = async (path: string, { signal }: ReadOptions = {}): Promise<string> =>
    reading(root, path, () => readFile(resolve(root, path), { encoding: 'utf8', signal }), signal);
  return {
    label: basename(root),
    id: `folder:${root}`,
    isRemote: false,
    readText,
    readOptionalText: (path, options) => readText(path, options).catch(undefinedIfMissing),
    openFile: async (path, options = {}) => {
      const handle = await reading(root, path, () => open(resolve(root, path)));
      return streamFile(handle, path, options);
    },
  };
}

async function streamFile(
  handle: FileHandle,
  path: string,
  { offset = 0, byteLength, signal }: OpenFileOptions,
): Promise<ReadableStream<Uint8Array<ArrayBuffer>>> {
  const { size } = await handle.stat();
  if (byteLength !== undefined && size !== byteLength) {
    await handle.close();
    throw wrongLength(path, size, byteLength);
  }
  let position = offset;
  const close = (): Promise<void> => handle.close();
  return new ReadableStream(
    {
      async pull(controller) {
        try {
          signal?.throwIfAborted();
          // Not zeroed first, and not from the shared pool: it is handed on.
          const memory = new Uint8Array(Buffer.allocUnsafeSlow(READ_BYTES).buffer);
          const { bytesRead, buffer } = await handle.read(memory, 0, READ_BYTES, position);
          position += bytesRead;
          if (bytesRead > 0) return controller.enqueue(buffer.subarray(0, bytesRead));
          await close();
          controller.close();
        } catch (error) {
          await close();
          throw error;
        }
      },
      cancel: close,
    },
    // Read ahead while the consumer hashes and uploads.
    { highWaterMark: READS_AHEAD },
  );
}

async function reading<T>(
  root: string,
  path: string,
  read: () => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  try {
    return await read();
  } catch (cause) {
    // Node throws an AbortError of its own instead of the signal's.
    signal?.throwIfAborted();
    if (!(cause instanceof Error)) throw cause;
    const isMissing = 'code' in cause && cause.code === 'ENOENT';
    throw new AutoglmError(
      isMissing ? 'file-missing' : 'storage-unavailable',
      isMissing
        ? `The folder ${root} has no file ${path}.`
        : `Cannot read ${resolve(root, path)}: ${cause.message}.`,
      { value: path, cure: 'Pass the folder that "autoglm convert" wrote.', cause },
    );
  }
}

function undefinedIfMissing(error: unknown): undefined {
  if (isAutoglmError(error, 'file-missing')) return undefined;
  throw error;
}
