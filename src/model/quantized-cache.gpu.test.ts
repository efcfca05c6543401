/**
 * The model with its KV cache in 8 bits against the values that transformers computed with a whole one. The
 * reference models have random weights, of which no error cancels: a trained model answers the same words, see
 * the evaluation.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectClose, useDevice } from '../kernels/parity.test-support.ts';
import type { SafetensorsFile } from '../storage/safetensors.ts';
import { encodeGoldenPrompt, loadGoldenModel, readGoldens } from './golden-model.test-support.ts';
import type { LanguageModel } from './language-model.ts';

/** Largest error of a logit as a share of the largest; measured: see the README. */
const TOLERANCE = 0.03;

for (const arithmetic of ['f32', 'int8'] as const) {
  describe(`glm4v-b at q4f16_1 with a q8 cache, decoding in ${arithmetic}`, () => {
    const device = useDevice({ storageBuffers: 10 });
    let model: LanguageModel;
    let goldens: SafetensorsFile;
    let inputs: SafetensorsFile;
    beforeAll(async () => {
      inputs = await readGoldens('glm4v-b');
      goldens = await readGoldens('glm4v-b', 'golden-q4.safetensors');
      model = await loadGoldenModel(device(), 'glm4v-b', 'q4f16_1', { arithmetic, cacheFormat: 'q8' });
    });
    afterAll(() => model?.destroy());

    it.each(['text', 'image'] as const)(
      'keeps the logits of %s behind prefill and decode',
      async (prompt) => {
        const { sequence, ropeDelta } = await encodeGoldenPrompt(model, inputs, prompt);
        const expectedLogits = goldens.float32(`${prompt}.greedy_logits`);
        const expectedIds = goldens.int32(`${prompt}.greedy_ids`);
        const { V } = model.config.text;
        await model.text.prefill(sequence, { slot: 0, cachedCount: 0 });
        const decode = await model.text.prepareDecode(1);
        for (let step = 0; step < 24; step++) {
          const logits = new Float32Array(await device().read(model.text.logits, 0, V * 4));
          expectClose(logits, expectedLogits.subarray(step * V, (step + 1) * V), TOLERANCE);
          const cacheIndex = sequence.tokenIds.length + step;
          const place = cacheIndex + ropeDelta;
          // The reference's own tokens, so that every step meets the reference's logits.
          model.text.writeDecodeRow(0, {
            position: [place, place, place],
            token: expectedIds[step],
            cacheIndex,
            slot: 0,
            generated: step,
          });
          const recorder = device().createRecorder('decode');
          decode(recorder);
          recorder.submit();
        }
      },
    );

    it('takes half the bytes of an f16 cache', () => {
      const { text } = model.config;
      const { byteLength } = model.buffers.get('keys.0');
      expect(byteLength).toBe(text.KV * text.D * model.options.context);
    });
  });
}
