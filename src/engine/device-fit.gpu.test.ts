/** Models that have to be made to fit: the planner, the proof by allocation, and what the engine then runs with. */
import { describe, expect, it } from 'vitest';
import type { Capabilities } from '../gpu/capabilities.ts';
import type { Device } from '../gpu/device.ts';
import { createTightDevice, type TightDevice } from '../gpu/tight-device.test-support.ts';
import { openNodeDevice } from '../gpu/webgpu-node.ts';
import { useDevice } from '../kernels/parity.test-support.ts';
import { ASSUMED_GPU } from '../model/assumed-gpu.ts';
import { openModel } from '../storage/model-loader.ts';
import { createNodeFolderSource } from '../storage/node-folder-source.ts';
import { refusedBytes, type AllocationMemory, type AllocationRecord } from './allocation-memory.ts';
import { fitOnDevice, type DeviceFit } from './device-fit.ts';
import { EMBEDDED_MODEL, readSample } from './embedded-model.test-support.ts';
import type { LoadProgress } from './engine.ts';
import type { FitReport } from './fit-report.ts';
import { toFitRequest, type FitOptions } from './load-model.ts';
import type { LocalEngine } from './local-engine.ts';
import { readModelTexts } from './model-texts.ts';
import { openNodeEngine } from './open-node-engine.ts';

const CONTEXT: FitOptions = { contextWindow: 2048, smallestContextWindow: 512 };
/** Everything that can be given up is. */
const LEAST: FitOptions = { contextWindow: 512, visionFormat: 'q4', cacheFormat: 'q8' };
/** More than any plan takes; with a budget, no plan has room for speed. */
const AMPLE_BYTES = 1e12;

/** A memory that lives as long as a test. */
class TestMemory implements AllocationMemory {
  record: AllocationRecord | undefined;
  constructor(record?: AllocationRecord) {
    this.record = record;
  }
  async get(): Promise<AllocationRecord | undefined> {
    return this.record;
  }
  async put(_: string, record: AllocationRecord): Promise<void> {
    this.record = record;
  }
}

async function planEmbedded(
  target: Device,
  options: FitOptions = {},
  memory?: AllocationMemory,
): Promise<DeviceFit> {
  const files = await openModel(createNodeFolderSource(EMBEDDED_MODEL));
  const texts = await readModelTexts(files);
  const shape = { config: texts.config, tensors: files.manifest.tensors };
  return fitOnDevice(target, shape, {
    request: toFitRequest({ ...CONTEXT, ...options }, files, texts),
    memory,
  });
}

/** What a form takes without the room for speed that a GPU which refuses nothing gets besides. */
async function plainBytes(target: Device, options: FitOptions = {}): Promise<number> {
  const { report } = await planEmbedded(target, { ...options, memoryBudget: AMPLE_BYTES });
  return report.memory.totalBytes;
}

describe.each([
  ['the adapter', {}],
  ['a GPU', ASSUMED_GPU],
] satisfies [string, Partial<Capabilities>][])('fitOnDevice, planning for %s', (_, claims) => {
  const device = useDevice();

  function tighten(roomBytes: number): TightDevice {
    return createTightDevice(device(), device().allocatedBytes + roomBytes, claims);
  }

  it('proves what it plans by allocating it, once', async () => {
    const memory = new TestMemory();
    const target = tighten(Infinity);
    const first = await planEmbedded(target, {}, memory);
    expect(first.report).toMatchObject({ proof: 'allocated', contextWindow: 2048, steps: [] });
    expect(target.created).toEqual([...first.fit.buffers.keys()]);
    expect(memory.record).toEqual({ provedBytes: first.report.memory.totalBytes });
    const second = await planEmbedded(target, {}, memory);
    expect(second.report).toEqual({ ...first.report, proof: 'remembered' });
    expect(target.created).toHaveLength(first.fit.buffers.size);
    const larger = await planEmbedded(target, { slots: 8 }, memory);
    expect(larger.report.proof).toBe('allocated');
  });

  it('gives up more and more until there is room', async () => {
    const totalBytes = await plainBytes(tighten(Infinity));
    const leastBytes = await plainBytes(tighten(Infinity), LEAST);
    const before = device().allocatedBytes;
    let lastBytes = totalBytes;
    const seen = new Set<string>();
    for (let share = 0; share <= 1; share += 0.25) {
      const room = Math.ceil(totalBytes + (leastBytes - totalBytes) * share);
      const { report } = await planEmbedded(tighten(room));
      if (share === 0) expect(report.steps).toEqual([]);
      expect(report.memory.totalBytes).toBeLessThanOrEqual(room);
      expect(report.memory.totalBytes).toBeLessThanOrEqual(lastBytes);
      lastBytes = report.memory.totalBytes;
      for (const { kind } of report.steps) seen.add(kind);
    }
    expect([...seen].toSorted()).toEqual(['cache', 'context', 'vision']);
    expect(device().allocatedBytes).toBe(before);
  });

  it('refuses what cannot fit, and remembers for a while what found no room', async () => {
    const memory = new TestMemory();
    await expect(planEmbedded(tighten(1_000_000), {}, memory)).rejects.toMatchObject({
      code: 'model-too-large',
    });
    expect(refusedBytes(memory.record)).toBeLessThan(Infinity);
    // There is room again, but it is not tried so soon.
    const target = tighten(Infinity);
    await expect(planEmbedded(target, {}, memory)).rejects.toMatchObject({ code: 'model-too-large' });
    expect(target.created).toEqual([]);
    memory.record = { ...memory.record!, refusedAt: 0 };
    expect((await planEmbedded(target, {}, memory)).report.steps).toEqual([]);
  });

  it('keeps to a budget without trying more', async () => {
    const target = tighten(Infinity);
    const totalBytes = await plainBytes(target);
    target.created.length = 0;
    const { report } = await planEmbedded(target, { memoryBudget: totalBytes - 1 });
    expect(report.steps).not.toEqual([]);
    expect(new Set(target.created).size).toBe(target.created.length);
  });
});

describe('a load', () => {
  interface OpenOptions {
    readonly allocations?: AllocationMemory;
    readonly signal?: AbortSignal;
    readonly onPlan?: (plan: FitReport) => void;
    readonly onUpload?: () => void;
  }
  function open(device: TightDevice, { allocations, signal, onPlan, onUpload }: OpenOptions = {}) {
    return openNodeEngine({
      model: EMBEDDED_MODEL,
      ...CONTEXT,
      slots: 4,
      openDevice: async () => device,
      allocations,
      signal,
      onProgress: ({ plan, phase }: LoadProgress) => {
        phases.push(phase);
        if (plan) onPlan?.(plan);
        if (phase === 'uploading') onUpload?.();
      },
    });
  }
  const phases: string[] = [];
  const openDevice = async (claims?: Partial<Capabilities>): Promise<TightDevice> =>
    createTightDevice(await openNodeDevice({ toggles: ['disable_workgroup_init'] }), Infinity, claims);

  it('allocates what was planned for a GPU, to the byte, with the room for speed', async () => {
    const device = await openDevice(ASSUMED_GPU);
    const controller = new AbortController();
    const plans: FitReport[] = [];
    const allocated: number[] = [];
    const loading = open(device, {
      signal: controller.signal,
      onPlan: (plan) => plans.push(plan),
      onUpload: () => {
        allocated.push(device.allocatedBytes);
        // Compiling a GPU's kernels takes a software adapter too long.
        controller.abort();
      },
    });
    await expect(loading).rejects.toMatchObject({ name: 'AbortError' });
    const { totalBytes, visionBytes } = plans[0].memory;
    expect(allocated[0]).toBe(totalBytes - visionBytes);
    expect(device.allocatedBytes).toBe(0);
  });

  it('that runs out of memory behind its proof ends with one error, before any weight is read, and nothing allocated', async () => {
    const device = await openDevice();
    phases.length = 0;
    // Another program takes the memory meanwhile.
    const loading = open(device, { onPlan: () => (device.budgetBytes = 2_000_000) });
    await expect(loading).rejects.toMatchObject({ code: 'out-of-memory' });
    expect(device.allocatedBytes).toBe(0);
    expect(new Set(phases)).toEqual(new Set(['checking']));
  });

  it('that runs out of memory although it once had room is planned again, and answers with what is left', async () => {
    const device = await openDevice();
    device.budgetBytes = (await plainBytes(device, { ...LEAST, slots: 4 })) + 50_000;
    const allocations = new TestMemory({ provedBytes: 1e12 });
    let engine: LocalEngine | undefined;
    try {
      engine = await open(device, { allocations });
      const plan = engine.plan()!;
      expect(plan.proof).toBe('allocated');
      expect(plan.steps.map(({ kind }) => kind)).toEqual(['context', 'vision', 'cache']);
      expect(engine.info).toMatchObject({ contextWindow: plan.contextWindow, plan });
      // What comes with the first image is planned and not there yet.
      expect(device.allocatedBytes).toBe(plan.memory.totalBytes - plan.memory.visionBytes);
      expect(allocations.record).toMatchObject({ provedBytes: plan.memory.totalBytes });
      expect(await answer(engine)).toMatch(/do\(action="Tap", element=\[\d+,\d+\]\)/);
      expect(device.allocatedBytes).toBeLessThanOrEqual(plan.memory.totalBytes);
    } finally {
      await engine?.unload();
    }
  });

  async function answer(engine: LocalEngine): Promise<string> {
    const { choices } = await engine.chat.completions.create({
      messages: [
        { role: 'system', content: 'You are a phone agent. Look at the screen and reply with one action.' },
        {
          role: 'user',
          content: [
            { type: 'image_url', image_url: { url: await readSample('home.png') } },
            { type: 'text', text: 'Open Maps' },
          ],
        },
      ],
      temperature: 0,
      max_tokens: 40,
    });
    return choices[0].message.content;
  }
});
