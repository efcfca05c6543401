import { describe, expect, it } from 'vitest';
import { GLM_CONFIG, readGoldenConfig } from './golden.test-support.ts';
import { parsePreprocessorConfig } from './preprocessor-config.ts';

const FILE = {
  size: { shortest_edge: 12544, longest_edge: 9633792 },
  patch_size: 14,
  temporal_patch_size: 2,
  merge_size: 2,
  image_mean: [0.48145466, 0.4578275, 0.40821073],
  image_std: [0.26862954, 0.26130258, 0.27577711],
};

describe('parsePreprocessorConfig', () => {
  it('reads the released form', () => {
    expect(parsePreprocessorConfig(FILE)).toEqual(GLM_CONFIG);
  });

  it('reads a file that transformers wrote', () => {
    expect(readGoldenConfig('glm4v-a')).toEqual({ ...GLM_CONFIG, rescaleFactor: 0.00392156862745098 });
  });

  it('reads the older spelling of the limits', () => {
    const { size: _size, ...rest } = FILE;
    expect(parsePreprocessorConfig({ ...rest, min_pixels: 12544, max_pixels: 9633792 })).toEqual(GLM_CONFIG);
  });

  it('lets the older spelling win where both occur', () => {
    expect(parsePreprocessorConfig({ ...FILE, max_pixels: 5_000_000 }).maxPixels).toBe(5_000_000);
  });

  it.each([
    ['no object', []],
    ['null', null],
    ['no limits', { ...FILE, size: {} }],
    ['a size of another kind', { ...FILE, size: { height: 336, width: 336 } }],
    ['a limit of 0', { ...FILE, size: { shortest_edge: 0, longest_edge: 100 } }],
    ['limits that cross', { ...FILE, min_pixels: 100, max_pixels: 99 }],
    ['a missing patch size', { ...FILE, patch_size: undefined }],
    ['a fractional patch size', { ...FILE, patch_size: 14.5 }],
    ['a missing merge size', { ...FILE, merge_size: undefined }],
    ['a missing frame count', { ...FILE, temporal_patch_size: undefined }],
    ['two means', { ...FILE, image_mean: [0.5, 0.5] }],
    ['a mean in words', { ...FILE, image_mean: ['0.5', 0.5, 0.5] }],
    ['a std of 0', { ...FILE, image_std: [0.5, 0, 0.5] }],
    ['a rescale factor of 0', { ...FILE, rescale_factor: 0 }],
    ['another filter', { ...FILE, resample: 2 }],
    ['no resizing', { ...FILE, do_resize: false }],
    ['no normalising', { ...FILE, do_normalize: false }],
  ])('refuses %s', (_fault, json) => {
    expect(() => parsePreprocessorConfig(json)).toThrow(
      expect.objectContaining({ code: 'config-invalid', cure: expect.any(String) as string }),
    );
  });

  it('names the key and its value', () => {
    expect(() => parsePreprocessorConfig({ ...FILE, patch_size: 0 })).toThrow(
      '"patch_size" is 0 but must be an integer above 0.',
    );
  });
});
