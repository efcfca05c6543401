import { readFile } from 'node:fs/promises';
import { AutoglmError } from '../base/errors.ts';

/** A file as a data URL, the form in which messages carry images. @throws AutoglmError `file-missing` */
export async function readImageUrl(path: string): Promise<string> {
  try {
    return `data:application/octet-stream;base64,${(await readFile(path)).toString('base64')}`;
  } catch (cause) {
    throw new AutoglmError('file-missing', `Cannot read the image ${path}.`, { value: path, cause });
  }
}
