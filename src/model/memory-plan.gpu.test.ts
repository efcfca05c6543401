import { describe, expect, it } from 'vitest';
import { useDevice } from '../kernels/parity.test-support.ts';
import { goldenImages, loadGoldenModel, readGoldens } from './golden-model.test-support.ts';
import { planMemory } from './memory-plan.ts';

describe('planMemory', () => {
  const device = useDevice();

  it.each(['q0f32', 'q4f16_1'] as const)('foretells every byte of a loaded model at %s', async (format) => {
    const before = device().allocatedBytes;
    const model = await loadGoldenModel(device(), 'glm4v-b', format);
    const { config, layout, options } = model;
    const plan = planMemory(config, layout, options);
    expect(device().allocatedBytes - before).toBe(plan.totalBytes);
    const [image] = goldenImages(await readGoldens('glm4v-b'), 'image');
    expect(image).toMatchObject({ gridRows: 12, gridColumns: 8 });
    const features = await model.vision.encode(image);
    const withImage = planMemory(config, layout, options, 12 * 8);
    expect(device().allocatedBytes - before).toBe(withImage.totalBytes);
    features.destroy();
    model.destroy();
    expect(device().allocatedBytes).toBe(before);
  });
});
