import { writeFileSync } from 'node:fs';
import { it } from 'vitest';
import { useDevice } from '../kernels/parity.test-support.ts';
import { VISION_BUFFERS } from './compile-vision.ts';
import { goldenImages, loadGoldenModel, readGoldens } from './golden-model.test-support.ts';
const device = useDevice();
it('x', async () => {
  const inputs = await readGoldens('glm4v-b');
  const model = await loadGoldenModel(device(), 'glm4v-b', 'q0f32');
  const [image] = goldenImages(inputs, 'image');
  const { C, F } = model.config.vision;
  const P = 96;
  const l = 'vision.block.0';
  const steps = [
    ['norm1', 'vision.normed', P * C],
    ['qkv', 'vision.qkv', P * 3 * C],
    ['rope', 'vision.q', P * C],
    ['attention', 'vision.attended', P * C],
    ['attention', 'vision.keys', P * C],
    ['attention', 'vision.values', P * C],
    ['proj', 'vision.projected', P * C],
    ['norm2', VISION_BUFFERS.hidden, P * C],
    ['gate-up', 'vision.gate-up', P * 2 * F],
    ['swiglu', 'vision.activated', P * F],
    ['down', 'vision.projected', P * C],
  ] as const;
  const traced = await model.vision.trace(
    image,
    steps.map(([n, buffer, length]) => ({ label: `${l}.${n}`, buffer, length })),
  );
  traced.forEach((t, i) => writeFileSync(`/tmp/d_${i}_${steps[i][0]}.bin`, t));
}, 600000);
