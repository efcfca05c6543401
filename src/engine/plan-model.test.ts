import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { ASSUMED_GPU } from '../model/assumed-gpu.ts';
import { createNodeFolderSource } from '../storage/node-folder-source.ts';
import type { ShardSource } from '../storage/shard-source.ts';
import { planSource } from './plan-model.ts';

const FOLDER = fileURLToPath(new URL('../../public/models/autoglm-tiny-q4f16_1', import.meta.url));

describe('planSource', () => {
  /** The embedded model; its weights must not be read. */
  const source: ShardSource = {
    ...createNodeFolderSource(FOLDER),
    openFile: () => Promise.reject(new Error('a shard was opened')),
  };

  it('tells what a model would take, without its weights', async () => {
    const plan = await planSource(source, ASSUMED_GPU, { contextWindow: 1024, slots: 1 });
    expect(plan).toMatchObject({ contextWindow: 1024, cacheFormat: 'f16', proof: 'planned', steps: [] });
    expect(plan.patchCount).toBeGreaterThan(0);
    const { weightBytes, cacheBytes, scratchBytes, visionBytes, totalBytes } = plan.memory;
    expect(totalBytes).toBe(weightBytes + cacheBytes + scratchBytes + visionBytes);
  });

  it('cuts a window to what the model was trained for only where less will do', async () => {
    const asked = { contextWindow: 65_536, slots: 1 };
    const refused = planSource(source, ASSUMED_GPU, asked);
    await expect(refused).rejects.toMatchObject({ code: 'request-invalid', value: 65_536 });
    const plan = await planSource(source, ASSUMED_GPU, { ...asked, smallestContextWindow: 1024 });
    expect(plan.contextWindow).toBe(4096);
    const tooMuch = planSource(source, ASSUMED_GPU, { ...asked, smallestContextWindow: 8192 });
    await expect(tooMuch).rejects.toMatchObject({ code: 'request-invalid' });
  });

  it('gives up what a budget has no room for, and names it', async () => {
    const wished = await planSource(source, ASSUMED_GPU, { contextWindow: 4096, slots: 1 });
    const memoryBudget = wished.memory.totalBytes - 1;
    const options = { contextWindow: 4096, smallestContextWindow: 256, slots: 1, memoryBudget };
    const plan = await planSource(source, ASSUMED_GPU, options);
    expect(plan.memory.totalBytes).toBeLessThanOrEqual(memoryBudget);
    expect(plan.steps[0]).toMatchObject({ kind: 'context', from: 4096 });
    const tooSmall = planSource(source, ASSUMED_GPU, { ...options, memoryBudget: 1e6 });
    await expect(tooSmall).rejects.toMatchObject({ code: 'model-too-large' });
  });
});
