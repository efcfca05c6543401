import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The model folder that the project ships. */
export const EMBEDDED_MODEL = fileURLToPath(
  new URL('../../public/models/autoglm-tiny-q4f16_1', import.meta.url),
);

/** Screenshots that the project ships: 280x560 pixels each. */
export const SAMPLES = fileURLToPath(new URL('../../public/samples', import.meta.url));

/** A copy of the embedded model in a temporary folder, to damage. */
export class ModelCopy {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  static async create(): Promise<ModelCopy> {
    const root = await mkdtemp(join(tmpdir(), 'autoglm-model-'));
    // The folder's name is the model's.
    const path = join(root, 'autoglm-tiny-q4f16_1');
    await mkdir(path);
    const files = (await readdir(EMBEDDED_MODEL, { withFileTypes: true })).filter((entry) => entry.isFile());
    for (const { name } of files) await copyFile(join(EMBEDDED_MODEL, name), join(path, name));
    return new ModelCopy(path);
  }

  file(name: string): string {
    return join(this.path, name);
  }

  /** Rewrites a json file of the folder. */
  async editJson(name: string, edit: (json: Record<string, never>) => unknown): Promise<void> {
    const json = JSON.parse(await readFile(this.file(name), 'utf8')) as Record<string, never>;
    await writeFile(this.file(name), JSON.stringify(edit(json) ?? json));
  }

  async remove(...names: readonly string[]): Promise<void> {
    for (const name of names) await rm(this.file(name));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(join(this.path, '..'), { recursive: true, force: true });
  }
}

/** A shipped screenshot as a data URL. */
export async function readSample(name: string): Promise<string> {
  return toDataUrl(await readFile(join(SAMPLES, name)));
}

/** Bytes as the data URL of an image. */
export function toDataUrl(bytes: Uint8Array): string {
  return `data:image/png;base64,${Buffer.from(bytes).toString('base64')}`;
}
