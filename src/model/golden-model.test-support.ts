import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { narrowToFloat16 } from '../base/float16.ts';
import type { Device } from '../gpu/device.ts';
import { openSafetensors, type SafetensorsFile } from '../storage/safetensors.ts';
import type { CompileRequest } from './compile-options.ts';
import { parseModelConfig, type ModelConfig } from './config.ts';
import {
  createReferenceWeights,
  referenceFolder,
  type ReferenceModelName,
} from './goldens/reference-model.test-support.ts';
import { LanguageModel, type LoadModelOptions } from './language-model.ts';
import { computePositionIds } from './position-ids.ts';
import type { ImageRun, Sequence } from './text-model.ts';
import type { ImagePatches } from './vision-tower.ts';
import type { StoredTensor } from './weight-layout.ts';

/** A stored tensor with its bytes. */
interface TensorData extends StoredTensor {
  readonly bytes: Uint8Array;
}

/** The config of a reference model. */
export async function readGoldenConfig(name: ReferenceModelName): Promise<ModelConfig> {
  return parseModelConfig(JSON.parse(await readFile(join(referenceFolder(name), 'config.json'), 'utf8')));
}

/** A golden file of a reference model. */
export async function readGoldens(
  name: ReferenceModelName,
  file = 'golden.safetensors',
): Promise<SafetensorsFile> {
  return openSafetensors(await readFile(join(referenceFolder(name), file)));
}

/** Loads a reference model in f32, f16, or with the reference's own packed 4-bit weights. */
export async function loadGoldenModel(
  device: Device,
  name: ReferenceModelName,
  format: 'q0f32' | 'q0f16' | 'q4f16_1',
  request: Partial<CompileRequest> & Pick<LoadModelOptions, 'tilings'> = {},
): Promise<LanguageModel> {
  const tensors = await readTensors(name, format);
  return LanguageModel.load(device, {
    config: await readGoldenConfig(name),
    tensors,
    context: 128,
    prefillChunk: 64,
    cacheFormat: format === 'q0f32' ? 'f32' : 'f16',
    ...request,
    streamTensors: async (write) => {
      for (const { name: tensorName, bytes } of tensors.values()) await write(tensorName, 0, bytes);
    },
  });
}

async function readTensors(
  name: ReferenceModelName,
  format: 'q0f32' | 'q0f16' | 'q4f16_1',
): Promise<Map<string, TensorData>> {
  const packed = format === 'q4f16_1' ? await readGoldens(name, 'model-q4.safetensors') : undefined;
  const tensors = new Map<string, TensorData>();
  for (const { name: tensorName, shape, values } of (await createReferenceWeights(name)).values()) {
    const base = tensorName.replace(/\.weight$/, '');
    if (packed?.entries.has(`${base}.q_weight`)) {
      addPacked(tensors, packed, `${base}.q_weight`, 'uint32');
      addPacked(tensors, packed, `${base}.q_scale`, 'float16');
    } else if (format === 'q0f32') {
      tensors.set(tensorName, {
        name: tensorName,
        shape,
        dtype: 'float32',
        bytes: new Uint8Array(values.buffer),
      });
    } else {
      const bits = new Uint16Array(values.length);
      narrowToFloat16(values, bits);
      tensors.set(tensorName, {
        name: tensorName,
        shape,
        dtype: 'float16',
        bytes: new Uint8Array(bits.buffer),
      });
    }
  }
  return tensors;
}

function addPacked(
  tensors: Map<string, TensorData>,
  file: SafetensorsFile,
  name: string,
  dtype: StoredTensor['dtype'],
): void {
  tensors.set(name, { name, shape: file.get(name).shape, dtype, bytes: file.bytes(name) });
}

/** A golden prompt as the model takes it. */
export interface GoldenPrompt {
  readonly sequence: Sequence;
  readonly ropeDelta: number;
}

/** Encodes the images of a golden prompt and finds its positions. Its buffers live as long as the device. */
export async function encodeGoldenPrompt(
  model: LanguageModel,
  goldens: SafetensorsFile,
  prompt: string,
): Promise<GoldenPrompt> {
  const tokenIds = goldens.int32(`${prompt}.input_ids`);
  const { imageTokenId, vision } = model.config;
  const images = goldenImages(goldens, prompt);
  const merge = vision.spatialMergeSize;
  const grids = images.map(({ gridRows, gridColumns }) => ({
    rows: gridRows / merge,
    columns: gridColumns / merge,
  }));
  const { positions, ropeDelta } = computePositionIds(tokenIds, imageTokenId, grids);
  const runs: ImageRun[] = [];
  for (const [index, image] of images.entries()) {
    const count = grids[index].rows * grids[index].columns;
    const start = imageStart(tokenIds, imageTokenId, index);
    runs.push({ start, count, features: await model.vision.encode(image) });
  }
  return { sequence: { tokenIds, positions, images: runs }, ropeDelta };
}

/** Index of the first token of the image `index`, counted from 0. */
function imageStart(tokenIds: Int32Array, imageTokenId: number, index: number): number {
  let seen = -1;
  return tokenIds.findIndex((id, place) => {
    if (id === imageTokenId && tokenIds[place - 1] !== imageTokenId) seen++;
    return id === imageTokenId && seen === index;
  });
}

/** The images of a golden prompt: its pixel values [P, C, T, AREA] with one of the equal frames. */
export function goldenImages(goldens: SafetensorsFile, prompt: string): ImagePatches[] {
  if (!goldens.entries.has(`${prompt}.pixel_values`)) return [];
  const pixels = goldens.float32(`${prompt}.pixel_values`);
  const grids = goldens.int32(
    prompt === 'two_images' ? 'two_images.image_grid_thw' : `${prompt}.image_grid_thw`,
  );
  const images: ImagePatches[] = [];
  let firstPatch = 0;
  for (let index = 0; index < grids.length; index += 3) {
    const [, gridRows, gridColumns] = grids.subarray(index, index + 3);
    const count = gridRows * gridColumns;
    images.push({ gridRows, gridColumns, patches: firstFrame(pixels, firstPatch, count) });
    firstPatch += count;
  }
  return images;
}

const CHANNELS = 3;
const FRAMES = 2;
const AREA = 14 * 14;

function firstFrame(pixels: Float32Array, firstPatch: number, count: number): Float32Array {
  const patches = new Float32Array(count * CHANNELS * AREA);
  for (let patch = 0; patch < count; patch++) {
    for (let channel = 0; channel < CHANNELS; channel++) {
      const source = ((firstPatch + patch) * CHANNELS + channel) * FRAMES * AREA;
      patches.set(pixels.subarray(source, source + AREA), (patch * CHANNELS + channel) * AREA);
    }
  }
  return patches;
}
