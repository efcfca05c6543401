import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { createReferenceWeights, type ReferenceModelName } from './reference-model.test-support.ts';

describe('createReferenceWeights', () => {
  it.each<[ReferenceModelName, string]>([
    // sha256 of the f32 bytes of all tensors by name, of the model.safetensors that transformers ran
    ['glm4v-a', '98a68de00fff1ed56f2b8eec48507574365e74db52a444f79618bdb9d0fc8c95'],
    ['glm4v-b', 'd5296e41e1429b5668be3726a870b2941d2af140e66792fdde669a9d65e8ee4e'],
  ])('draws the weights of %s as torch drew them', async (name, expected) => {
    const hash = createHash('sha256');
    for (const { values } of (await createReferenceWeights(name)).values()) hash.update(values);
    expect(hash.digest('hex')).toBe(expected);
  });
});
