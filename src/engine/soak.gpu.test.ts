/**
 * Random requests, in parallel, aborted at random moments: every answer is right or typed as aborted, and nothing is
 * left behind. `AUTOGLM_SOAK_REQUESTS` and `AUTOGLM_SOAK_SEED` run more of them, and others.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openNodeDevice } from '../gpu/webgpu-node.ts';
import { loadGoldenModel, readGoldenConfig } from '../model/golden-model.test-support.ts';
import { Scheduler } from '../model/scheduler.ts';
import { PLAIN_DEFAULTS } from '../sampling/generation-config.ts';
import { LocalEngine } from './local-engine.ts';
import { soak } from './soak.test-support.ts';

const CONTEXT = 128;
const SLOTS = 4;
const REQUESTS = Number(process.env['AUTOGLM_SOAK_REQUESTS'] ?? 150);
const SEED = Number(process.env['AUTOGLM_SOAK_SEED'] ?? 1);

let engine: LocalEngine;
beforeAll(async () => {
  const device = await openNodeDevice({ toggles: ['disable_workgroup_init'] });
  const request = { context: CONTEXT, slots: SLOTS, prefillChunk: 16 };
  const model = await loadGoldenModel(device, 'glm4v-a', 'q0f32', request);
  engine = new LocalEngine({
    model,
    scheduler: await Scheduler.create(model, { stepsInFlight: 2, speculation: 'on' }),
    texts: {
      config: await readGoldenConfig('glm4v-a'),
      generation: PLAIN_DEFAULTS,
      tokenizer: undefined,
      preprocessor: undefined,
    },
    info: {
      model: 'glm4v-a',
      backend: 'webgpu',
      adapter: 'test',
      isSoftware: true,
      contextWindow: CONTEXT,
      gpuBytes: device.allocatedBytes,
      quantization: 'q0f32',
    },
    decodeImage: () => Promise.reject(new Error('no image is decoded here')),
    fingerprint: 'glm4v-a',
    loadXGrammar: () => Promise.reject(new Error('no grammar is compiled here')),
  });
});
afterAll(() => engine?.unload());

describe('soak', () => {
  it(
    `answers ${REQUESTS} random requests rightly, and leaves nothing behind`,
    async () => {
      const { device } = engine.model;
      const report = await soak(engine, { count: REQUESTS, seed: SEED, parallel: 8, poolSize: 24 });
      if (REQUESTS > 1000) console.info(JSON.stringify(report));
      expect(report.faults).toEqual([]);
      const { complete, aborted, left, interrupted } = report;
      expect(complete + aborted + left + interrupted).toBe(REQUESTS);
      expect(complete).toBeGreaterThan(REQUESTS / 3);
      expect(aborted).toBeGreaterThan(0);
      expect(left).toBeGreaterThan(0);
      expect(report.cachedTokens).toBeGreaterThan(REQUESTS);
      // Every slot can be had again, and nothing is on the device.
      expect(engine.load).toEqual({ waiting: 0, active: 0 });
      expect(report.gpuBytes[1]).toBe(report.gpuBytes[0]);
      expect(report.heapBytes[1] - report.heapBytes[0]).toBeLessThan(4e6 + 200 * REQUESTS);
      await engine.unload();
      expect(device.allocatedBytes).toBe(0);
    },
    REQUESTS * 1000 + 60_000,
  );
});
