import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { product } from '../../base/maths.ts';
import { parseModelConfig } from '../config.ts';
import { expectedTensors, type ExpectedTensor } from '../tensor-names.ts';
import { TorchRandom } from './torch-random.test-support.ts';

/** The random models whose values transformers computed; see `golden.json` of each. */
export type ReferenceModelName = 'glm4v-a' | 'glm4v-b';

const SEEDS: Readonly<Record<ReferenceModelName, number>> = { 'glm4v-a': 101, 'glm4v-b': 202 };

/** A tensor of a reference model, in f32. */
export interface ReferenceTensor extends ExpectedTensor {
  readonly values: Float32Array<ArrayBuffer>;
}

/** Folder of a reference model's config, images and golden values. */
export function referenceFolder(name: ReferenceModelName): string {
  return fileURLToPath(new URL(name, import.meta.url));
}

/**
 * The f32 weights of a reference model by name, in the order of their names. They are drawn again from the
 * model's seed as its maker drew them, and equal its `model.safetensors` bit for bit.
 */
export async function createReferenceWeights(
  name: ReferenceModelName,
): Promise<ReadonlyMap<string, ReferenceTensor>> {
  const config = JSON.parse(await readFile(join(referenceFolder(name), 'config.json'), 'utf8')) as unknown;
  const tensors = expectedTensors(parseModelConfig(config)).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const random = new TorchRandom(SEEDS[name]);
  return new Map(
    tensors.map((tensor) => {
      const values = random.normal(product(tensor.shape)).map((value) => scale(value, tensor));
      return [tensor.name, { ...tensor, values }];
    }),
  );
}

/** Writes a Hugging Face folder of a reference model: `model.safetensors` in f32 and the json files. */
export async function writeReferenceCheckpoint(name: ReferenceModelName, folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const file of ['config.json', 'preprocessor_config.json']) {
    await copyFile(join(referenceFolder(name), file), join(folder, file));
  }
  const weights = await createReferenceWeights(name);
  await writeFile(join(folder, 'model.safetensors'), toSafetensors([...weights.values()]));
}

/** A safetensors file of f32 tensors. */
export function toSafetensors(tensors: readonly Pick<ReferenceTensor, 'name' | 'shape' | 'values'>[]): Uint8Array {
  let end = 0;
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } };
  for (const { name, shape, values } of tensors) {
    header[name] = { dtype: 'F32', shape, data_offsets: [end, end + values.byteLength] };
    end += values.byteLength;
  }
  const text = JSON.stringify(header);
  const json = new TextEncoder().encode(text + ' '.repeat((8 - (text.length % 8)) % 8));
  const file = new Uint8Array(8 + json.byteLength + end);
  new DataView(file.buffer).setBigUint64(0, BigInt(json.byteLength), true);
  file.set(json, 8);
  let offset = 8 + json.byteLength;
  for (const { values } of tensors) {
    file.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), offset);
    offset += values.byteLength;
  }
  return file;
}

/** What the maker of the reference models does to a drawn value, step by step in f32. */
function scale(drawn: number, { name, shape }: ExpectedTensor): number {
  const round = Math.fround;
  if (name.endsWith('bias')) return round(round(0.1) * drawn);
  if (name.includes('norm')) {
    const mean = name.includes('post_self_attn') || name.includes('post_mlp') ? 0.6 : 1;
    return round(round(mean) + round(round(0.1) * drawn));
  }
  if (name.includes('embed_tokens')) return round(round(0.6) * drawn);
  if (name.includes('position_embedding')) return round(round(0.3) * drawn);
  if (name === 'lm_head.weight') return round(round(drawn * 1.5) / round(Math.sqrt(shape[1]!)));
  const inputs = product(shape.slice(1));
  return round((name.includes('merger.down_proj') ? 2 * drawn : drawn) / round(Math.sqrt(inputs)));
}
