import { AutoglmError } from '../base/errors.ts';
import { roundHalfEven } from '../base/maths.ts';
import type { PreprocessorConfig } from './preprocessor-config.ts';
import { checkImageSize } from './rgb-image.ts';

/** The longer side may be at most this many times the shorter one. */
export const MAX_ASPECT_RATIO = 200;

/** A picture size in pixels. */
export interface PixelSize {
  readonly width: number;
  readonly height: number;
}

/** The numbers of a `PreprocessorConfig` that decide a size. */
export type SizeRules = Pick<
  PreprocessorConfig,
  'minPixels' | 'maxPixels' | 'patchSize' | 'temporalPatchSize' | 'mergeSize'
>;

/**
 * The size at which the vision tower sees a picture: both sides multiples of `patchSize * mergeSize`, near
 * the picture's own shape, with an area inside the limits.
 *
 * Source: transformers 5, `smart_resize` in `models/glm4v/image_processing_glm4v.py`. A still picture counts
 * as `temporalPatchSize` equal frames, so `maxPixels` and `minPixels` bound twice its area.
 *
 * @throws AutoglmError `image-size` for an empty picture, `image-aspect-ratio` above 200.
 */
export function smartResize(width: number, height: number, rules: SizeRules): PixelSize {
  checkImageSize(width, height);
  const factor = rules.patchSize * rules.mergeSize;
  const frames = rules.temporalPatchSize;
  const source = enlargeToFactor(width, height, factor);
  checkAspectRatio(source, { width, height });

  const rounded = {
    width: roundHalfEven(source.width / factor) * factor,
    height: roundHalfEven(source.height / factor) * factor,
  };
  const volume = frames * rounded.width * rounded.height;
  if (volume > rules.maxPixels) {
    const shrink = Math.sqrt((frames * source.height * source.width) / rules.maxPixels);
    const toSide = (side: number) => Math.max(factor, Math.floor(side / shrink / factor) * factor);
    return { width: toSide(source.width), height: toSide(source.height) };
  }
  if (volume < rules.minPixels) {
    const grow = Math.sqrt(rules.minPixels / (frames * source.height * source.width));
    const toSide = (side: number) => Math.ceil((side * grow) / factor) * factor;
    return { width: toSide(source.width), height: toSide(source.height) };
  }
  return rounded;
}

/** A side below one merged block is enlarged first; the truncation is the reference's `int()`. */
function enlargeToFactor(width: number, height: number, factor: number): PixelSize {
  if (width >= factor && height >= factor) return { width, height };
  const scale = Math.max(factor / height, factor / width);
  return { width: Math.trunc(width * scale), height: Math.trunc(height * scale) };
}

function checkAspectRatio(size: PixelSize, original: PixelSize): void {
  const ratio = Math.max(size.width, size.height) / Math.min(size.width, size.height);
  if (ratio <= MAX_ASPECT_RATIO) return;
  throw new AutoglmError(
    'image-aspect-ratio',
    `An image of ${original.width} x ${original.height} pixels has an aspect ratio of ${ratio.toFixed(1)}, ` +
      `above the model's limit of ${MAX_ASPECT_RATIO}.`,
    { value: ratio, limit: MAX_ASPECT_RATIO, cure: 'Crop the image to a less narrow shape.' },
  );
}
