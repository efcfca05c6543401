import { readFile } from 'node:fs/promises';
import { AutoglmError } from '../base/errors.ts';

/** A JSON file's value. @throws AutoglmError `file-missing`, `message-invalid` when it is not JSON */
export async function readJsonFile(path: string): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    throw new AutoglmError('file-missing', `Cannot read ${path}.`, {
      value: path,
      cure: 'Check the path.',
      cause,
    });
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new AutoglmError('message-invalid', `Cannot read ${path}: it is not JSON.`, {
      value: path,
      cure: 'Correct the file.',
      cause,
    });
  }
}
