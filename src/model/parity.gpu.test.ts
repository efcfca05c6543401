/** The whole model against values that transformers computed in f32, tensor by tensor. */
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { Device } from '../gpu/device.ts';
import type { Capabilities } from '../gpu/capabilities.ts';
import type { LayerTiling } from '../kernels/decode-layer.ts';
import { expectClose, useDevice } from '../kernels/parity.test-support.ts';
import type { SafetensorsFile } from '../storage/safetensors.ts';
import { TEXT_BUFFERS } from './text-buffers.ts';
import { VISION_BUFFERS } from './compile-vision.ts';
import {
  encodeGoldenPrompt,
  goldenImages,
  loadGoldenModel,
  readGoldens,
  type GoldenPrompt,
} from './golden-model.test-support.ts';
import type { LanguageModel } from './language-model.ts';
import { planMemory } from './memory-plan.ts';
import { Scheduler } from './scheduler.ts';
import { generateIds, textRequest } from './scheduler.test-support.ts';
import { canReachFar } from './whole-layers.ts';

const PROMPTS = ['text', 'image', 'two_images'] as const;

/** 4-bit weights whose prompts are not multiplied in f32. */
const DIGITS = {
  name: 'glm4v-b',
  format: 'q4f16_1',
  goldens: 'golden-q4.safetensors',
  tolerance: 2e-3,
  arithmetic: 'int8',
} as const;

/** Tolerances as shares of a tensor's largest magnitude. */
const VARIANTS = [
  { name: 'glm4v-a', format: 'q0f32', goldens: 'golden.safetensors', tolerance: 2e-4 },
  { name: 'glm4v-b', format: 'q0f32', goldens: 'golden.safetensors', tolerance: 2e-4 },
  // Its weights are the reference's rounded to f16.
  { name: 'glm4v-b', format: 'q0f16', goldens: 'golden.safetensors', tolerance: 5e-3 },
  { name: 'glm4v-b', format: 'q4f16_1', goldens: 'golden-q4.safetensors', tolerance: 2e-3 },
  {
    name: 'glm4v-b',
    format: 'q4f16_1',
    goldens: 'golden-q4.safetensors',
    tolerance: 2e-3,
    arithmetic: 'int8',
  },
  {
    name: 'glm4v-b',
    format: 'q4f16_1',
    goldens: 'golden-q4.safetensors',
    tolerance: 2e-3,
    arithmetic: 'int8',
    // Enough for the qkv product that turns q and k and appends to the cache by itself.
    storageBuffers: 10,
    manyRows: 'int8',
  },
  {
    name: 'glm4v-b',
    format: 'q4f16_1',
    goldens: 'golden-q4.safetensors',
    tolerance: 2e-3,
    arithmetic: 'int8',
    storageBuffers: 10,
    // Attention too has a kernel of its own for subgroups.
    reduction: 'subgroup',
    decodesOnly: true,
  },
  {
    name: 'glm4v-b',
    format: 'q4f16_1',
    goldens: 'golden-q4.safetensors',
    tolerance: 2e-3,
    arithmetic: 'int8',
    storageBuffers: 12,
    reduction: 'subgroup',
    decodesOnly: true,
    workgroupStorageBytes: 32768,
    runsWholeLayers: true,
  },
  // Only where the toggles give the adapter what it takes.
  ...(process.env['AUTOGLM_DAWN_TOGGLES']?.includes('allow_unsafe_apis')
    ? [{ ...DIGITS, manyRows: 'matrix', workgroupStorageBytes: 49152 } as const]
    : []),
] as const;

/** One, because software does not promise to run several at the same time. */
function oneWorkgroup({ subgroupSizes }: Capabilities): LayerTiling {
  return { workgroups: 1, workgroup: Math.max(64, 8 * subgroupSizes.min), splits: 2 };
}

/** Keys from which whole layers reach far here: in the midst of the answer to `text`. */
const FAR_KEYS = 36;

for (const { name, format, goldens: file, tolerance, ...variant } of VARIANTS) {
  const {
    arithmetic,
    storageBuffers,
    reduction,
    decodesOnly,
    manyRows,
    workgroupStorageBytes,
    runsWholeLayers,
  } = {
    arithmetic: 'f32',
    storageBuffers: 8,
    reduction: 'workgroup',
    // What is not a decode step is the same for every variant of it.
    decodesOnly: false,
    manyRows: 'f32',
    workgroupStorageBytes: 16384,
    runsWholeLayers: false,
    ...variant,
  } as const;
  describe(`${name} at ${format}, decoding in ${arithmetic} by ${reduction} with ${storageBuffers} buffers, prompts in ${manyRows}${runsWholeLayers ? ', whole layers' : ''}`, () => {
    const device = useDevice({ storageBuffers, workgroupStorageBytes });
    let model: LanguageModel;
    let loadedBytes: number;
    let goldens: SafetensorsFile;
    let inputs: SafetensorsFile;
    beforeAll(async () => {
      inputs = await readGoldens(name);
      goldens = await readGoldens(name, file);
      model = await loadGoldenModel(device(), name, format, {
        arithmetic,
        reduction,
        manyRows,
        ...(runsWholeLayers && { layerTiling: oneWorkgroup(device().capabilities), farKeys: FAR_KEYS }),
      });
      loadedBytes = device().allocatedBytes;
      // Software compiles the large programs for prompts for long.
    }, 400_000);
    afterAll(() => model?.destroy());

    const encode = (prompt: string): Promise<GoldenPrompt> => encodeGoldenPrompt(model, inputs, prompt);

    for (const prompt of decodesOnly ? [] : PROMPTS) {
      it(`gives the position ids of ${prompt}`, async () => {
        const { sequence } = await encode(prompt);
        const expected = inputs.int32(`${prompt}.position_ids`);
        const length = sequence.tokenIds.length;
        const actual = Array.from({ length: 3 }, (_, axis) =>
          Array.from({ length }, (_unused, index) => sequence.positions[index * 3 + axis]),
        ).flat();
        expect(actual).toEqual([...expected]);
      });

      it(`gives the image features of ${prompt}`, async () => {
        if (prompt === 'text') return expect(goldens.entries.has('text.visual')).toBe(false);
        const { sequence } = await encode(prompt);
        const rows: number[] = [];
        for (const { features } of sequence.images) {
          rows.push(...new Float32Array(await device().read(features, 0, features.byteLength)));
        }
        expectClose(Float32Array.from(rows), goldens.float32(`${prompt}.visual`), tolerance);
      });

      it(`gives the last norm and the logits at every position of ${prompt}`, async () => {
        const { sequence } = await encode(prompt);
        const { text } = model;
        await text.prefill(sequence, { slot: 0, cachedCount: 0, afterChunk: async () => undefined });
        const count = sequence.tokenIds.length;
        expectClose(
          await text.readRows(TEXT_BUFFERS.normed, count),
          goldens.float32(`${prompt}.norm`),
          tolerance,
        );
        const logits = new Float32Array(count * model.config.text.V);
        for (let row = 0; row < count; row++) {
          await text.computeLogits([row]);
          const bytes = await device().read(text.logits, 0, model.config.text.V * 4);
          logits.set(new Float32Array(bytes), row * model.config.text.V);
        }
        expectClose(logits, goldens.float32(`${prompt}.logits`), tolerance);
      });
    }

    for (const prompt of ['text', 'image'] as const) {
      it(`continues ${prompt} with the reference's 24 greedy tokens`, async () => {
        const { sequence, ropeDelta } = await encode(prompt);
        const expectedLogits = goldens.float32(`${prompt}.greedy_logits`);
        const { V } = model.config.text;
        await model.text.prefill(sequence, { slot: 0, cachedCount: 0 });
        // Each reach for a third of the steps where there are two, then both in turn.
        const near = await model.text.prepareDecode(1);
        const far = runsWholeLayers ? await model.text.prepareDecode(1, 'far') : near;
        const ids: number[] = [];
        for (let step = 0; step < 24; step++) {
          const logits = new Float32Array(await device().read(model.text.logits, 0, V * 4));
          expectClose(logits, expectedLogits.subarray(step * V, (step + 1) * V), tolerance);
          const token = logits.indexOf(Math.max(...logits));
          ids.push(token);
          const cacheIndex = sequence.tokenIds.length + step;
          const place = cacheIndex + ropeDelta;
          model.text.writeDecodeRow(0, {
            position: [place, place, place],
            token,
            cacheIndex,
            slot: 0,
            generated: step,
          });
          const recorder = device().createRecorder('decode');
          const isFar = step < 16 ? step >= 8 : step % 2 === 0;
          (isFar ? far : near)(recorder);
          recorder.submit();
        }
        expect(ids).toEqual([...goldens.int32(`${prompt}.greedy_ids`)]);
      });
    }

    if (runsWholeLayers) {
      it('takes the memory that was planned', () => {
        expect(loadedBytes).toBe(planMemory(model.config, model.layout, model.options).totalBytes);
      });
    }

    // A decode step of CUDA is one kernel however many keys there are.
    if (runsWholeLayers && process.env['AUTOGLM_TESTS_ON'] !== 'cuda') {
      it('counts the workgroups of steps that reach far', async () => {
        const options = { ...model.options, allowsWholeLayers: true };
        const parts = { config: model.config, weights: model.layout.text, options };
        expect(await canReachFar(device(), model.buffers, parts)).toBe(true);
      });

      it('goes over to steps that reach far in the midst of an answer', async () => {
        const { sequence, ropeDelta } = await encode('text');
        const tokenIds = Array.from(sequence.tokenIds);
        expect(tokenIds.length + 4).toBeLessThan(FAR_KEYS);
        // Compiled before: the answer would end sooner than the background's work.
        await model.text.prepareDecode(1, 'far');
        const scheduler = await Scheduler.create(model, { stepsInFlight: 4 });
        const splits = countDispatches(device(), 'layer.0.attention.split');
        const { V } = model.config.text;
        const request = textRequest(tokenIds, { temperature: 0 }, { V, ropeDelta, maxTokens: 24 });
        const ids = await generateIds(scheduler, { ...request, positions: sequence.positions });
        expect(ids).toEqual([...goldens.int32('text.greedy_ids')]);
        // The prompt's end gives the first token; the steps after it have one key more each.
        expect(splits()).toBe(tokenIds.length + 24 - FAR_KEYS);
      });
    }

    if (format === 'q0f32') {
      it('gives every intermediate of the text decoder', async () => {
        for (const prompt of ['text', 'image'] as const) {
          const { sequence } = await encode(prompt);
          const layers = Array.from({ length: model.config.text.L }, (_, layer) => `layer.${layer}`);
          const traced = await model.text.trace(sequence, ['embed', ...layers]);
          expectClose(traced[0], goldens.float32(`${prompt}.embeds`), tolerance);
          layers.forEach((label, index) => {
            expectClose(traced[index + 1], goldens.float32(`${prompt}.${label}`), tolerance);
          });
        }
      });

      it('gives every intermediate of the vision tower', async () => {
        const [image] = goldenImages(inputs, 'image');
        const { C, outC, L } = model.config.vision;
        const P = image.gridRows * image.gridColumns;
        const blocks = Array.from({ length: L }, (_, block) => `vision.block.${block}`);
        const hidden = { buffer: VISION_BUFFERS.hidden, length: P * C };
        const traced = await model.vision.trace(image, [
          { label: 'vision.patch-embed', buffer: VISION_BUFFERS.embedded, length: P * C },
          { label: 'vision.embeddings', ...hidden },
          ...blocks.map((label) => ({ label, ...hidden })),
          { label: 'vision.downsample', buffer: VISION_BUFFERS.downsampled, length: (P / 4) * outC },
        ]);
        const names = ['vision.patch_embed', 'vision.embeddings', ...blocks, 'vision.downsample'];
        names.forEach((key, index) => expectClose(traced[index], goldens.float32(`image.${key}`), tolerance));
      });
    }
  });
}

/** Counts the dispatches of that label that are recorded from now on. */
function countDispatches(device: Device, label: string): () => number {
  let count = 0;
  const createRecorder = device.createRecorder.bind(device);
  vi.spyOn(device, 'createRecorder').mockImplementation((name) => {
    const recorder = createRecorder(name);
    const dispatch = recorder.dispatch.bind(recorder);
    recorder.dispatch = (bindings, grid, dispatched) => {
      if (dispatched === label) count++;
      dispatch(bindings, grid, dispatched);
    };
    return recorder;
  });
  return () => count;
}
