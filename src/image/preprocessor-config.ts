import { AutoglmError } from '../base/errors.ts';

/** One number a colour channel: red, green, blue. */
export type RgbTriple = readonly [number, number, number];

/** What `preprocessor_config.json` says about turning a picture into patches. */
export interface PreprocessorConfig {
  /** Least area of all frames together, in pixels. */
  readonly minPixels: number;
  /** Greatest area of all frames together, in pixels: a still picture counts `temporalPatchSize` times. */
  readonly maxPixels: number;
  /** Side of a square patch in pixels. */
  readonly patchSize: number;
  /** Frames a patch spans; a still picture is repeated that often. */
  readonly temporalPatchSize: number;
  /** Patches a side of the block that becomes one token. */
  readonly mergeSize: number;
  /** Subtracted after rescaling. */
  readonly mean: RgbTriple;
  /** Divides after the mean was subtracted. */
  readonly std: RgbTriple;
  /** Multiplies the 8-bit values; 1/255 where the file does not say. */
  readonly rescaleFactor: number;
}

/** PIL's number for bicubic, the one filter implemented. */
const PIL_BICUBIC = 3;

type JsonObject = Readonly<Record<string, unknown>>;

/**
 * Reads the parsed `preprocessor_config.json` of a GLM-4.1V checkpoint.
 *
 * Limits are spelled `size.shortest_edge` and `size.longest_edge`, or `min_pixels` and `max_pixels`; where
 * both occur the latter win, as in transformers. Unknown keys are ignored: the files carry many.
 *
 * @throws AutoglmError `config-invalid` naming the key, its value and what it must be.
 */
export function parsePreprocessorConfig(json: unknown): PreprocessorConfig {
  const file = toObject(json, 'preprocessor_config.json');
  refuseOtherSteps(file);
  const limits = readPixelLimits(file);
  return {
    ...limits,
    patchSize: toCount(file['patch_size'], 'patch_size'),
    temporalPatchSize: toCount(file['temporal_patch_size'], 'temporal_patch_size'),
    mergeSize: toCount(file['merge_size'], 'merge_size'),
    mean: toTriple(file['image_mean'], 'image_mean', () => true, 'three finite numbers'),
    std: toTriple(file['image_std'], 'image_std', (value) => value > 0, 'three numbers above 0'),
    rescaleFactor: toRescaleFactor(file['rescale_factor']),
  };
}

function readPixelLimits(file: JsonObject): { minPixels: number; maxPixels: number } {
  const size = file['size'] === undefined || file['size'] === null ? {} : toObject(file['size'], 'size');
  const minPixels = toCount(file['min_pixels'] ?? size['shortest_edge'], 'size.shortest_edge or min_pixels');
  const maxPixels = toCount(file['max_pixels'] ?? size['longest_edge'], 'size.longest_edge or max_pixels');
  if (minPixels > maxPixels) refuse('min_pixels', minPixels, `at most max_pixels, ${maxPixels}`);
  return { minPixels, maxPixels };
}

/** Files that ask for another pipeline would otherwise give wrong pixels without a word. */
function refuseOtherSteps(file: JsonObject): void {
  for (const step of ['do_resize', 'do_rescale', 'do_normalize']) {
    if ((file[step] ?? true) !== true) refuse(step, file[step], 'true');
  }
  if ((file['resample'] ?? PIL_BICUBIC) !== PIL_BICUBIC) {
    refuse('resample', file['resample'], `${PIL_BICUBIC} (bicubic)`);
  }
}

function toObject(value: unknown, name: string): JsonObject {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) refuse(name, value, 'an object');
  return value as JsonObject;
}

function toCount(value: unknown, name: string): number {
  if (!Number.isSafeInteger(value) || (value as number) < 1) refuse(name, value, 'an integer above 0');
  return value as number;
}

function toTriple(
  value: unknown,
  name: string,
  isAllowed: (channel: number) => boolean,
  limit: string,
): RgbTriple {
  const isTriple =
    Array.isArray(value) &&
    value.length === 3 &&
    value.every((channel) => Number.isFinite(channel) && isAllowed(channel as number));
  if (!isTriple) refuse(name, value, limit);
  return [...(value as number[])] as unknown as RgbTriple;
}

function toRescaleFactor(value: unknown): number {
  const factor = value ?? 1 / 255;
  if (!Number.isFinite(factor) || (factor as number) <= 0)
    refuse('rescale_factor', value, 'a number above 0');
  return factor as number;
}

function refuse(name: string, value: unknown, limit: string): never {
  throw new AutoglmError(
    'config-invalid',
    `preprocessor_config.json: "${name}" is ${JSON.stringify(value) ?? 'missing'} but must be ${limit}.`,
    { value, limit, cure: 'Use the preprocessor_config.json that belongs to the checkpoint.' },
  );
}
