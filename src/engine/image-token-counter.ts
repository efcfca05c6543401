import { AutoglmError } from '../base/errors.ts';
import { planImage } from '../image/prepare-image.ts';
import { parsePreprocessorConfig } from '../image/preprocessor-config.ts';
import type { PreprocessorConfig } from '../image/preprocessor-config.ts';
import { toMaxPixels } from './image-detail.ts';

/** What a picture costs, in tokens. */
export interface ImageTokenCounts {
  /** As it is sent by default. */
  readonly full: number;
  /** With `detail: "low"`: faster, but small text may not be readable any more. */
  readonly low: number;
}

/** Counts tokens of pictures by their size in pixels, upright. */
export type ImageTokenCounter = (width: number, height: number) => ImageTokenCounts;

/** @throws AutoglmError `image-size` or `image-aspect-ratio`, from the counter, for a size that no model takes. */
export function createImageTokenCounter(config: PreprocessorConfig): ImageTokenCounter {
  const maxPixels = toMaxPixels('low', undefined, config.maxPixels);
  return (width, height) => ({
    full: planImage(width, height, config).tokenCount,
    low: planImage(width, height, config, { maxPixels }).tokenCount,
  });
}

/**
 * Reads `preprocessor_config.json` of a model folder: enough to tell costs before the model is loaded.
 *
 * @param model absolute http(s) URL of the folder.
 * @throws AutoglmError `http-status` where there is no such file, `config-invalid` where it says something else.
 */
export async function loadImageTokenCounter(model: string, signal?: AbortSignal): Promise<ImageTokenCounter> {
  const url = `${model.replace(/\/+$/, '')}/preprocessor_config.json`;
  const response = await fetch(url, signal === undefined ? {} : { signal });
  if (!response.ok) {
    throw new AutoglmError('http-status', `${url} answered HTTP ${response.status}.`, {
      value: response.status,
      cure: 'Check the address of the model folder.',
    });
  }
  return createImageTokenCounter(parsePreprocessorConfig(await response.json()));
}
