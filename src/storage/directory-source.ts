import { AutoglmError, isAutoglmError } from '../base/errors.ts';
import { createBlobReader } from './blob-reader.ts';
import { wrongLength } from './http-response.ts';
import { PIECE_BYTES } from './pieces.ts';
import type { OpenFileOptions, ReadOptions, ShardSource } from './shard-source.ts';

/** A model folder that the user picked with `showDirectoryPicker`, or one inside OPFS. */
export function createDirectorySource(directory: FileSystemDirectoryHandle): ShardSource {
  return createFileSource(directory.name, async (path) => {
    const handle = await directory.getFileHandle(path);
    return handle.getFile();
  });
}

/**
 * A model folder as plain files, from `<input type="file" webkitdirectory>` or a drop. Files are known by
 * their name; of two with the same name the one nearest to the top counts.
 */
export function createFileListSource(files: Iterable<File>, label = 'picked folder'): ShardSource {
  const byName = new Map<string, File>();
  const byDepth = [...files].toSorted((a, b) => depthOf(a) - depthOf(b));
  for (const file of byDepth) if (!byName.has(file.name)) byName.set(file.name, file);
  const folder = byDepth[0]?.webkitRelativePath.split('/')[0];
  return createFileSource(folder || label, async (path) => byName.get(path));
}

type FindFile = (path: string) => Promise<File | undefined>;

function createFileSource(label: string, findFile: FindFile): ShardSource {
  const open = async (path: string): Promise<File> => {
    const file = await findExisting(findFile, path);
    if (file === undefined) throw missing(label, path);
    return file;
  };
  const readText = async (path: string, { signal }: ReadOptions = {}): Promise<string> => {
    signal?.throwIfAborted();
    const file = await open(path);
    return reading(label, path, () => file.text());
  };
  return {
    label,
    id: `folder:${label}`,
    isRemote: false,
    readText,
    readOptionalText: (path, options) => readText(path, options).catch(undefinedIfMissing),
    openFile: async (path, options = {}) => openSlice(label, path, await open(path), options),
  };
}

async function findExisting(findFile: FindFile, path: string): Promise<File | undefined> {
  try {
    return await findFile(path);
  } catch (error) {
    if (error instanceof DOMException && error.name === 'NotFoundError') return undefined;
    throw error;
  }
}

function openSlice(
  label: string,
  path: string,
  file: File,
  { offset = 0, byteLength, signal }: OpenFileOptions,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  if (byteLength !== undefined && file.size !== byteLength) throw wrongLength(path, file.size, byteLength);
  const reader = createBlobReader(file.slice(offset));
  return new ReadableStream(
    {
      async pull(controller) {
        try {
          signal?.throwIfAborted();
          const bytes = await reading(label, path, () => reader.read(new ArrayBuffer(PIECE_BYTES)));
          if (bytes.byteLength > 0) return controller.enqueue(bytes);
        } catch (error) {
          await reader.close();
          throw error;
        }
        await reader.close();
        controller.close();
      },
      cancel: () => reader.close(),
    },
    { highWaterMark: 0 },
  );
}

/** A picked file may be changed, moved or lose its permission at any time. */
async function reading<T>(label: string, path: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new AutoglmError('storage-unavailable', `Cannot read ${path} of "${label}": ${reason}.`, {
      value: path,
      cure: 'Pick the folder again; a file that changes after it was picked can no longer be read.',
      cause,
    });
  }
}

function missing(label: string, path: string): AutoglmError {
  return new AutoglmError('file-missing', `The folder "${label}" has no file ${path}.`, {
    value: path,
    cure: 'Pick the folder that "autoglm convert" wrote.',
  });
}

function undefinedIfMissing(error: unknown): undefined {
  if (isAutoglmError(error, 'file-missing')) return undefined;
  throw error;
}

function depthOf(file: File): number {
  return file.webkitRelativePath.split('/').length;
}
