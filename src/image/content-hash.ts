import type { PreprocessorConfig } from './preprocessor-config.ts';
import type { RgbImage } from './rgb-image.ts';

/**
 * Hex sha256 that names a picture as a model sees it: of its size, its pixels and the rules that prepare it.
 *
 * The platform's own hash is used: a page that may use WebGPU always has it.
 */
export async function hashImage(image: RgbImage, config: PreprocessorConfig): Promise<string> {
  const pixels = await sha256(image.data);
  // Keys are listed one by one so that their order in a caller's object cannot change the hash.
  const rules = [
    config.minPixels,
    config.maxPixels,
    config.patchSize,
    config.temporalPatchSize,
    config.mergeSize,
    config.mean,
    config.std,
    config.rescaleFactor,
  ];
  const text = JSON.stringify([image.width, image.height, pixels, rules]);
  return sha256(new TextEncoder().encode(text));
}

async function sha256(bytes: Uint8Array): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>);
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
