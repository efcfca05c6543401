import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AutoglmError } from '../base/errors.ts';

/**
 * The text of a file of a model folder.
 *
 * @throws AutoglmError `file-missing`.
 */
export async function readModelFile(folder: string, name: string): Promise<string> {
  const text = await readOptionalModelFile(folder, name);
  if (text === undefined) {
    throw new AutoglmError('file-missing', `Cannot find ${name} in ${folder}.`, {
      value: join(folder, name),
      cure: 'Give a model folder that "autoglm convert" made.',
    });
  }
  return text;
}

/** The text of a file of a model folder; undefined when there is none. */
export async function readOptionalModelFile(folder: string, name: string): Promise<string | undefined> {
  try {
    return await readFile(join(folder, name), 'utf8');
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
}
