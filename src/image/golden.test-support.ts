import { readFileSync } from 'node:fs';
import { openSafetensors } from '../storage/safetensors.ts';
import { parsePreprocessorConfig } from './preprocessor-config.ts';
import type { PreprocessorConfig } from './preprocessor-config.ts';
import type { PreparedImage } from './prepare-image.ts';

/** Folders of reference values made by transformers. */
export const GOLDEN_MODELS = ['glm4v-a', 'glm4v-b'] as const;

export type GoldenModel = (typeof GOLDEN_MODELS)[number];

export function readGoldenFile(model: GoldenModel, name: string): Buffer {
  return readFileSync(new URL(`../model/goldens/${model}/${name}`, import.meta.url));
}

export function readGoldenConfig(model: GoldenModel): PreprocessorConfig {
  return parsePreprocessorConfig(
    JSON.parse(readGoldenFile(model, 'preprocessor_config.json').toString('utf8')),
  );
}

/** Reference pixel values `[patches, 3 * frames * patchSize^2]` and grids `[images, 3]` of a prompt. */
export function readGoldenPixels(
  model: GoldenModel,
  prompt: 'image' | 'two_images',
): { values: Float32Array; grids: Int32Array } {
  const file = openSafetensors(readGoldenFile(model, 'golden.safetensors'));
  return { values: file.float32(`${prompt}.pixel_values`), grids: file.int32(`${prompt}.image_grid_thw`) };
}

/** Repeats each patch's one frame as transformers does: channel, frame, row, column. */
export function repeatFrames(images: readonly PreparedImage[], config: PreprocessorConfig): number[] {
  const channelLength = config.patchSize ** 2;
  const values: number[] = [];
  for (const { patches } of images) {
    for (let start = 0; start < patches.length; start += channelLength) {
      const channel = patches.subarray(start, start + channelLength);
      for (let frame = 0; frame < config.temporalPatchSize; frame += 1) values.push(...channel);
    }
  }
  return values;
}

/** The configuration of the released GLM-4.1V files. */
export const GLM_CONFIG: PreprocessorConfig = {
  minPixels: 12544,
  maxPixels: 9633792,
  patchSize: 14,
  temporalPatchSize: 2,
  mergeSize: 2,
  mean: [0.48145466, 0.4578275, 0.40821073],
  std: [0.26862954, 0.26130258, 0.27577711],
  rescaleFactor: 1 / 255,
};
