import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  writeReferenceCheckpoint,
  type ReferenceModelName,
} from '../model/goldens/reference-model.test-support.ts';
import type { Quantization, ScaleRule } from '../model/quantization.ts';
import { convertCheckpoint } from './convert.ts';

/** A folder under the system's temporary one that goes when the test that made it ends. */
export interface TemporaryFolder extends AsyncDisposable {
  readonly path: string;
}

/** Makes an empty temporary folder. */
export async function createTemporaryFolder(): Promise<TemporaryFolder> {
  const path = await mkdtemp(join(tmpdir(), 'autoglm-test-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/**
 * Writes the model folder of a reference model, converted from its random weights.
 *
 * @param folder where; it must not exist
 */
export async function convertReferenceModel(
  name: ReferenceModelName,
  folder: string,
  quantization: Quantization,
  scaleRule: ScaleRule = 'absmax',
): Promise<void> {
  const checkpoint = `${folder}.checkpoint`;
  await writeReferenceCheckpoint(name, checkpoint);
  await convertCheckpoint({
    source: checkpoint,
    target: folder,
    quantization,
    scaleRule,
    visionQuantization: 'default',
    threads: 0,
  });
  await rm(checkpoint, { recursive: true });
}
