import { describe, expect, it } from 'vitest';
import { AutoglmError } from '../base/errors.ts';
import { ASSUMED_GPU } from './assumed-gpu.ts';
import { parseModelConfig } from './config.ts';
import { describeFitStep, fitModel, type FitRequest, type ModelFit, type ModelShape } from './model-fit.ts';
import { storedArrays, weightFormat, type VisionQuantization } from './quantization.ts';
import { createSyntheticConfig } from './synthetic.ts';
import { expectedTensors } from './tensor-names.ts';

/** The real model's widths with fewer layers, as stored. */
function createShape(vision: VisionQuantization = 'default', layers = 12, blocks = 1): ModelShape {
  const config = parseModelConfig(createSyntheticConfig(layers, blocks));
  const tensors = expectedTensors(config).flatMap((tensor) =>
    storedArrays(tensor, weightFormat(tensor, 'q4f16_1', vision)).map(
      (array) => [array.name, array] as const,
    ),
  );
  return { config, tensors: new Map(tensors), capabilities: ASSUMED_GPU };
}

const SHAPE = createShape();
const WISH: FitRequest = { context: 65536, patchCount: 1024 };

function fit(request: Partial<FitRequest>, shape = SHAPE): ModelFit {
  return fitModel(shape, { ...WISH, ...request });
}

/** Bytes of the form that the request forces. */
function bytesOf(request: Partial<FitRequest>): number {
  return fit(request).memory.totalBytes;
}

function savedBytes({ steps }: ModelFit): number {
  return steps.reduce((total, step) => total + step.savedBytes, 0);
}

function kinds({ steps }: ModelFit): string[] {
  return steps.map(({ kind }) => kind);
}

describe('fitModel', () => {
  const wished = fit({});
  const smallest = bytesOf({ context: 4096 });
  const narrow = bytesOf({ context: 4096, visionFormat: 'q4' });
  const least = bytesOf({ context: 4096, visionFormat: 'q4', cacheFormat: 'q8' });

  it('gives up nothing where everything fits', () => {
    expect(wished).toMatchObject({ context: 65536, cacheFormat: 'f16', visionFormat: 'f16', steps: [] });
    expect(fit({ budgetBytes: wished.memory.totalBytes })).toMatchObject({ context: 65536, steps: [] });
  });

  it('cuts the context first, to the largest that fits', () => {
    const budgetBytes = (smallest + wished.memory.totalBytes) / 2;
    const cut = fit({ budgetBytes });
    expect(kinds(cut)).toEqual(['context']);
    expect(cut).toMatchObject({ cacheFormat: 'f16', visionFormat: 'f16' });
    expect(cut.memory.totalBytes).toBeLessThanOrEqual(budgetBytes);
    expect(bytesOf({ context: cut.context + 512 })).toBeGreaterThan(budgetBytes);
    expect(savedBytes(cut)).toBe(wished.memory.totalBytes - cut.memory.totalBytes);
  });

  it('packs the vision tower next, with as much context as then fits', () => {
    const packed = fit({ budgetBytes: smallest - 1 });
    expect(kinds(packed)).toEqual(['context', 'vision']);
    expect(packed).toMatchObject({ cacheFormat: 'f16', visionFormat: 'q4' });
    expect(packed.context).toBeGreaterThan(4096);
    expect(savedBytes(packed)).toBe(wished.memory.totalBytes - packed.memory.totalBytes);
  });

  it('puts the KV cache into 8 bits last', () => {
    const last = fit({ budgetBytes: narrow - 1 });
    expect(kinds(last)).toEqual(['context', 'vision', 'cache']);
    expect(last).toMatchObject({ cacheFormat: 'q8', visionFormat: 'q4' });
    expect(last.memory.totalBytes).toBeLessThan(narrow);
    expect(savedBytes(last)).toBe(wished.memory.totalBytes - last.memory.totalBytes);
    // Half of the f16 cache, at every context.
    const halved = fit({ context: last.context, visionFormat: 'q4' }).memory.cacheBytes / 2;
    expect(last.memory.cacheBytes).toBe(halved);
  });

  it('says what the smallest form needs, what was tried, and where to go, when nothing fits', () => {
    const fault = faultOf(() => fit({ budgetBytes: least - 1 }));
    expect(fault).toMatchObject({ code: 'model-too-large', value: least, limit: least - 1 });
    expect(fault.message).toMatch(
      /^The model needs \d+ bytes of GPU memory and \d+ are there, with context 65536 to 4096 \(saves \d+ MB\), vision tower f16 to q4 \(saves \d+ MB\), KV cache f16 to q8 \(saves \d+ MB\)\./,
    );
    expect(fault.cure).toContain('helper');
    expect(fit({ budgetBytes: least })).toMatchObject({ context: 4096 });
  });

  it.each<[string, Partial<FitRequest>, string[]]>([
    ['a context that may not be cut', { smallestContext: 65536 }, ['vision']],
    ['a tower that stays as it is stored', { visionFormat: 'stored' }, ['context', 'cache']],
    ['a cache of a given format', { cacheFormat: 'f16' }, ['context', 'vision']],
  ])('keeps to %s', (_, request, expected) => {
    const budgetBytes = expected[0] === 'vision' ? wished.memory.totalBytes - 1 : smallest - 1;
    expect(kinds(fit({ ...request, budgetBytes }))).toEqual(expected);
  });

  it('refuses what may not be changed', () => {
    const fixed = { smallestContext: 65536, visionFormat: 'stored', cacheFormat: 'f16' } as const;
    const fault = faultOf(() => fit({ ...fixed, budgetBytes: wished.memory.totalBytes - 1 }));
    expect(fault).toMatchObject({ code: 'model-too-large', value: wished.memory.totalBytes });
    expect(fault.message).not.toContain('saves');
  });

  it('takes a short context as it is', () => {
    expect(kinds(fit({ context: 1000, budgetBytes: bytesOf({ context: 1000 }) - 1 }))).toEqual(['vision']);
  });

  it('has nothing to pack in a tower that is stored at 4 bits', () => {
    const shape = createShape('q4');
    const wish = fit({ context: 4096 }, shape);
    expect(wish).toMatchObject({ visionFormat: 'q4', steps: [] });
    const next = fit({ context: 4096, budgetBytes: wish.memory.totalBytes - 1 }, shape);
    expect(kinds(next)).toEqual(['cache']);
  });

  it('keeps to the device limits as well as to the budget', () => {
    const { limits } = ASSUMED_GPU;
    const largest = wished.memory.largestBufferBytes;
    const tight = {
      ...SHAPE,
      capabilities: { ...ASSUMED_GPU, limits: { ...limits, maxBufferBytes: 2 ** 28 } },
    };
    expect(largest).toBeGreaterThan(2 ** 28);
    expect(fit({}, tight).memory.largestBufferBytes).toBeLessThanOrEqual(2 ** 28);
  });

  it('neither tries nor promises a KV cache that the device has no kernels for', () => {
    const cuda = { computeCapability: 9, multiprocessors: 132 };
    const shape = { ...SHAPE, capabilities: { ...ASSUMED_GPU, cuda } };
    expect(fit({ cacheFormat: 'q8' }, shape)).toMatchObject({ cacheFormat: 'f16' });
    const fault = faultOf(() => fit({ budgetBytes: least / 2 }, shape));
    expect(fault.message).toContain('vision tower f16 to q4');
    expect(fault.message).not.toContain('KV cache');
  });

  it('lists buffers that add up to the plan', () => {
    const bytes = [...wished.buffers.values()].reduce((total, { byteLength }) => total + byteLength, 0);
    expect(bytes).toBe(wished.memory.totalBytes);
  });
});

describe('describeFitStep', () => {
  it('names what was given up and what that saves', () => {
    const words = describeFitStep({ kind: 'context', from: 8192, to: 4096, savedBytes: 167_772_160 });
    expect(words).toBe('context 8192 to 4096 (saves 168 MB)');
  });
});

function faultOf(run: () => unknown): AutoglmError {
  try {
    run();
  } catch (error) {
    if (error instanceof AutoglmError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}
