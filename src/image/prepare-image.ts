import { AutoglmError } from '../base/errors.ts';
import { hashImage } from './content-hash.ts';
import { extractPatches } from './patches.ts';
import type { PreprocessorConfig } from './preprocessor-config.ts';
import { resizeBicubic } from './resize-bicubic.ts';
import type { RgbImage } from './rgb-image.ts';
import { smartResize } from './smart-resize.ts';

/** Options of `prepareImage` and `planImage`. */
export interface PrepareOptions {
  /**
   * Greatest area of all frames together, in pixels, in place of the config's: a still picture counts
   * `temporalPatchSize` times. Fewer pixels give fewer tokens and a faster answer; AutoGLM-Phone-9B is served
   * with 5,000,000. Default: the config's `maxPixels`.
   */
  readonly maxPixels?: number | undefined;
}

/** Sizes and costs of a picture, known before its pixels are. */
export interface ImagePlan {
  /** Pixels. */
  readonly originalWidth: number;
  /** Pixels. */
  readonly originalHeight: number;
  /** Pixels. */
  readonly resizedWidth: number;
  /** Pixels. */
  readonly resizedHeight: number;
  /** Rows of patches. */
  readonly gridRows: number;
  /** Columns of patches. */
  readonly gridCols: number;
  /** `gridRows * gridCols`. */
  readonly patchCount: number;
  /** Places the picture takes in the prompt: `patchCount / mergeSize^2`. */
  readonly tokenCount: number;
}

/** A picture as the vision tower takes it. */
export interface PreparedImage extends ImagePlan {
  /** `[patchCount, 3 * patchSize^2]`, block by block; see `extractPatches`. */
  readonly patches: Float32Array<ArrayBuffer>;
  /** Hex sha256 of the pixels and the rules: equal for pictures that give equal patches. */
  readonly contentHash: string;
}

/**
 * Says how large a picture becomes and how many tokens it costs, without its pixels.
 *
 * @param width Pixels, upright.
 * @param height Pixels, upright.
 * @throws AutoglmError `image-size` for an empty picture, `image-aspect-ratio` above 200, `request-invalid`
 *   for a `maxPixels` that is no integer above 0.
 */
export function planImage(
  width: number,
  height: number,
  config: PreprocessorConfig,
  options: PrepareOptions = {},
): ImagePlan {
  const { patchSize, mergeSize } = config;
  const resized = smartResize(width, height, applyOptions(config, options));
  const gridRows = resized.height / patchSize;
  const gridCols = resized.width / patchSize;
  return {
    originalWidth: width,
    originalHeight: height,
    resizedWidth: resized.width,
    resizedHeight: resized.height,
    gridRows,
    gridCols,
    patchCount: gridRows * gridCols,
    tokenCount: (gridRows * gridCols) / (mergeSize * mergeSize),
  };
}

/**
 * Resizes, normalises and cuts a picture: the whole of transformers' `Glm4vImageProcessor` for a still one.
 *
 * @throws AutoglmError as `planImage` does.
 */
export async function prepareImage(
  image: RgbImage,
  config: PreprocessorConfig,
  options: PrepareOptions = {},
): Promise<PreparedImage> {
  const rules = applyOptions(config, options);
  const plan = planImage(image.width, image.height, rules);
  const resized = resizeBicubic(image, plan.resizedWidth, plan.resizedHeight);
  const contentHash = await hashImage(image, rules);
  return { ...plan, patches: extractPatches(resized, config), contentHash };
}

function applyOptions(config: PreprocessorConfig, options: PrepareOptions): PreprocessorConfig {
  const { maxPixels } = options;
  if (maxPixels === undefined) return config;
  if (Number.isSafeInteger(maxPixels) && maxPixels > 0) return { ...config, maxPixels };
  throw new AutoglmError('request-invalid', `Cannot prepare an image with maxPixels ${maxPixels}.`, {
    value: maxPixels,
    limit: 'an integer above 0',
    cure: 'Leave maxPixels out to use the limit of the model.',
  });
}
