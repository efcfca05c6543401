import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { fromFloat16Bits } from '../base/float16.ts';
import { parseModelConfig } from '../model/config.ts';
import { dequantizeGroups } from '../model/quantize-groups.ts';
import { createSyntheticConfig } from '../model/synthetic.ts';
import { parseManifest } from '../storage/manifest.ts';
import { convertCheckpoint } from './convert.ts';
import { inspectModel } from './inspect.ts';
import { createNarrowConfig } from './narrow-config.test-support.ts';
import { createTemporaryFolder, type TemporaryFolder } from './reference-folder.test-support.ts';
import { synthesizeCheckpoint, synthesizeModelFolder, type SynthOptions } from './synth.ts';

// Disk and cores may be shared with everything else that a test run does.
vi.setConfig({ testTimeout: 120_000 });

let temporary: TemporaryFolder;
beforeAll(async () => void (temporary = await createTemporaryFolder()));
afterAll(() => temporary[Symbol.asyncDispose]());

function optionsOf(name: string, more: Partial<SynthOptions> = {}): SynthOptions {
  return {
    target: join(temporary.path, name),
    layers: 2,
    blocks: 1,
    seed: 1,
    quantization: 'q4f16_1',
    visionQuantization: 'default',
    config: createNarrowConfig({ C: 512, F: 416, V: 3000, layers: 2 }),
    ...more,
  };
}

async function readArray(folder: string, name: string): Promise<Uint8Array<ArrayBuffer>> {
  const manifest = parseManifest(await readFile(join(folder, 'tensor-cache.json'), 'utf8'));
  const { shardIndex, byteOffset, byteLength } = manifest.tensors.get(name)!;
  const shard = await readFile(join(folder, manifest.shards[shardIndex]!.dataPath));
  return new Uint8Array(shard.subarray(byteOffset, byteOffset + byteLength));
}

function getDeviation(values: Float32Array): number {
  const mean = values.reduce((total, value) => total + value, 0) / values.length;
  return Math.sqrt(values.reduce((total, value) => total + (value - mean) ** 2, 0) / values.length);
}

describe('createSyntheticConfig', () => {
  it('has the real sizes', () => {
    const { text, vision } = parseModelConfig(createSyntheticConfig());
    expect([text.C, text.L, text.H, text.KV, text.D, text.F, text.V]).toEqual([
      4096, 40, 32, 2, 128, 13696, 151552,
    ]);
    expect([vision.C, vision.L, vision.F, vision.mergerF]).toEqual([1536, 24, 4096, 13696]);
  });
});

describe('synthesizeModelFolder', () => {
  it.each(['q4f16_1', 'q8f16_1', 'q0f16', 'q0f32'] as const)(
    'writes a valid folder at %s',
    async (quantization) => {
      const options = optionsOf(quantization, { quantization });
      const { bytes, parameters } = await synthesizeModelFolder(options);
      const summary = await inspectModel(options.target);
      expect(summary).toMatchObject({ quantization, bytes, parameters, hashed: true });
      expect(summary.plan.steps).toEqual([]);
      // Planned for less memory than it takes as it is.
      const memoryBudget = summary.plan.memory.totalBytes - 1;
      const { plan } = await inspectModel(options.target, { memoryBudget });
      expect(plan.steps).not.toEqual([]);
      expect(plan.memory.totalBytes).toBeLessThanOrEqual(memoryBudget);
    },
  );

  it.each([
    ['q4f16_1', 'q4'],
    ['q8f16_1', 'q8'],
  ] as const)(
    'gives weights at %s a mean of 0 and a deviation of 1 / sqrt(inputs)',
    async (quantization, format) => {
      const options = optionsOf(`spread-${format}`, { quantization });
      await synthesizeModelFolder(options);
      const words = new Uint32Array((await readArray(options.target, 'lm_head.q_weight')).buffer);
      const scales = new Uint16Array((await readArray(options.target, 'lm_head.q_scale')).buffer);
      const values = new Float32Array(3000 * 512);
      dequantizeGroups(words, scales, values, format);
      expect(getDeviation(values) * Math.sqrt(512)).toBeCloseTo(1, 1);
      expect(Math.abs(values.reduce((total, value) => total + value, 0) / values.length)).toBeLessThan(2e-4);
      expect(scales.every((bits) => fromFloat16Bits(bits) > 0)).toBe(true);
    },
  );

  it('makes the same bytes of the same seed and others of another', async () => {
    const runs = [optionsOf('seed-1a'), optionsOf('seed-1b'), optionsOf('seed-2', { seed: 2 })];
    for (const options of runs) await synthesizeModelFolder(options);
    const [first, second, other] = await Promise.all(
      runs.map(({ target }) => readFile(join(target, 'tensor-cache.json'), 'utf8')),
    );
    expect(second).toBe(first);
    expect(parseManifest(other!).shards[0]!.sha256).not.toBe(parseManifest(first!).shards[0]!.sha256);
  });
});

describe('synthesizeCheckpoint', () => {
  it('writes a checkpoint that converts', async () => {
    const options = optionsOf('hf');
    const { bytes } = await synthesizeCheckpoint(options);
    const result = await convertCheckpoint({
      source: options.target,
      target: join(temporary.path, 'converted'),
      quantization: 'q4f16_1',
      scaleRule: 'search',
      visionQuantization: 'q4',
      threads: 0,
    });
    expect(result.sourceBytes).toBe(bytes);
  });
});
