import { AutoglmError } from '../base/errors.ts';
import type { PreprocessorConfig } from './preprocessor-config.ts';
import { RGB_CHANNELS } from './rgb-image.ts';
import type { RgbImage } from './rgb-image.ts';

/** The numbers of a `PreprocessorConfig` that decide the patches of a resized picture. */
export type PatchRules = Pick<
  PreprocessorConfig,
  'patchSize' | 'mergeSize' | 'mean' | 'std' | 'rescaleFactor'
>;

const LEVELS = 256;

/**
 * Rescales, normalises and cuts a resized picture into patches.
 *
 * Order of the patches: block row, block column, row in block, column in block, where a block is the
 * `mergeSize x mergeSize` patches that become one token. Inside a patch: channel, row, column. The frames of a
 * still picture are equal, so one is kept: a row holds `3 * patchSize^2` values where transformers' pixel
 * values hold `3 * temporalPatchSize * patchSize^2`.
 *
 * Source: transformers 5, `patchify` in `models/glm4v/image_processing_glm4v.py`.
 *
 * @param image Sides must be multiples of `patchSize * mergeSize`.
 * @returns `[rows * columns of patches, 3 * patchSize^2]`.
 * @throws AutoglmError `image-size` for sides that are not.
 */
export function extractPatches(image: RgbImage, rules: PatchRules): Float32Array<ArrayBuffer> {
  const { patchSize, mergeSize } = rules;
  checkWholeBlocks(image, patchSize * mergeSize);
  const gridRows = image.height / patchSize;
  const gridCols = image.width / patchSize;
  const channelLength = patchSize * patchSize;
  const patches = new Float32Array(gridRows * gridCols * RGB_CHANNELS * channelLength);
  const levels = createLevelTable(rules);
  for (let row = 0; row < gridRows; row += 1) {
    for (let col = 0; col < gridCols; col += 1) {
      const index = toPatchIndex(row, col, gridCols, mergeSize);
      const pixel = row * patchSize * image.width + col * patchSize;
      const offset = index * RGB_CHANNELS * channelLength;
      copyPatch(image, pixel, patchSize, levels, patches, offset);
    }
  }
  return patches;
}

/** Place of the patch at a grid position in the list of patches, which goes block by block. */
function toPatchIndex(row: number, col: number, gridCols: number, mergeSize: number): number {
  const blockRow = Math.floor(row / mergeSize);
  const blockCol = Math.floor(col / mergeSize);
  const block = blockRow * (gridCols / mergeSize) + blockCol;
  return (block * mergeSize + (row % mergeSize)) * mergeSize + (col % mergeSize);
}

function copyPatch(
  image: RgbImage,
  firstPixel: number,
  patchSize: number,
  levels: Float32Array,
  patches: Float32Array,
  offset: number,
): void {
  const { data, width } = image;
  const channelLength = patchSize * patchSize;
  let red = offset;
  for (let y = 0; y < patchSize; y += 1) {
    let from = (firstPixel + y * width) * RGB_CHANNELS;
    for (let x = 0; x < patchSize; x += 1) {
      patches[red] = levels[data[from]!]!;
      patches[red + channelLength] = levels[LEVELS + data[from + 1]!]!;
      patches[red + 2 * channelLength] = levels[2 * LEVELS + data[from + 2]!]!;
      from += RGB_CHANNELS;
      red += 1;
    }
  }
}

/**
 * `[3, 256]`: the normalised value of every 8-bit level of each channel, in the reference's order of
 * single-precision steps: mean and std are divided by the rescale factor, then applied to the level itself.
 */
function createLevelTable(rules: PatchRules): Float32Array {
  const inverse = Math.fround(1 / rules.rescaleFactor);
  const table = new Float32Array(RGB_CHANNELS * LEVELS);
  for (let channel = 0; channel < RGB_CHANNELS; channel += 1) {
    const mean = Math.fround(Math.fround(rules.mean[channel]!) * inverse);
    const std = Math.fround(Math.fround(rules.std[channel]!) * inverse);
    for (let level = 0; level < LEVELS; level += 1) {
      table[channel * LEVELS + level] = Math.fround(level - mean) / std;
    }
  }
  return table;
}

function checkWholeBlocks(image: RgbImage, factor: number): void {
  if (image.width % factor === 0 && image.height % factor === 0) return;
  throw new AutoglmError(
    'image-size',
    `An image of ${image.width} x ${image.height} pixels does not divide into blocks of ${factor}.`,
    { value: { width: image.width, height: image.height }, limit: factor, cure: 'Resize the image first.' },
  );
}
