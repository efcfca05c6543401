import { describe, expect, it } from 'vitest';
import { useDevice } from '../kernels/parity.test-support.ts';
import { loadGoldenModel } from './golden-model.test-support.ts';
import { planMemory } from './memory-plan.ts';

describe('VisionTower', () => {
  const device = useDevice();

  it('gives the same features when the MLPs take a few rows at a time, in less memory', async () => {
    // Rows for five pieces of the blocks and two of the merger; the last of each is not full, or empty.
    const [gridRows, gridColumns] = [24, 24];
    const results: { features: Float32Array; visionBytes: number }[] = [];
    for (const imagePieceWords of [2 ** 25, 1]) {
      const model = await loadGoldenModel(device(), 'glm4v-b', 'q4f16_1', { imagePieceWords });
      const { config, layout, options } = model;
      const { inChannels, patchSize } = config.vision;
      const length = inChannels * patchSize ** 2;
      const patches = Float32Array.from({ length: gridRows * gridColumns * length }, (_, i) => Math.sin(i));
      const buffer = await model.vision.encode({ patches, gridRows, gridColumns });
      const features = new Float32Array(await device().read(buffer, 0, buffer.byteLength));
      const { visionBytes } = planMemory(config, layout, options, gridRows * gridColumns);
      results.push({ features, visionBytes });
      buffer.destroy();
      model.destroy();
    }
    const [whole, pieces] = results;
    expect(whole.features.some((value) => value !== 0)).toBe(true);
    expect(pieces.features).toEqual(whole.features);
    expect(pieces.visionBytes).toBeLessThan(whole.visionBytes);
  });
});
