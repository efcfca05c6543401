import { readFile } from 'node:fs/promises';
import { AutoglmError } from '../base/errors.ts';

/** The bytes of an image file. @throws AutoglmError `file-missing` */
export async function readImageFile(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (cause) {
    throw new AutoglmError('file-missing', `Cannot read the image ${path}.`, {
      value: path,
      cure: 'Check the path.',
      cause,
    });
  }
}

/** A file as a data URL, the form in which messages carry images. @throws AutoglmError `file-missing` */
export async function readImageUrl(path: string): Promise<string> {
  const base64 = Buffer.from(await readImageFile(path)).toString('base64');
  return `data:application/octet-stream;base64,${base64}`;
}
