import type { CompileOptions } from './compile-options.ts';
import { compileDecodes, compileHead, compilePrefill, compilePromptEnd } from './compile-text.ts';
import { compilePatchFold, compileVision, visionCapacity } from './compile-vision.ts';
import { compileSampler } from './compile-sampler.ts';
import type { ModelConfig } from './config.ts';
import type { Plan, ScratchBuffer } from './plan.ts';
import { MAX_COLUMNS, slotBuffers } from './text-buffers.ts';
import type { WeightLayout } from './weight-layout.ts';
import { withMostSplits } from './whole-layers.ts';

/** Bytes that a model takes on the device, known before anything is fetched or allocated. */
export interface MemoryPlan {
  readonly weightBytes: number;
  /** KV cache of all slots at the full context. */
  readonly cacheBytes: number;
  /** Activations, logits, tables and the sampler's state. */
  readonly scratchBytes: number;
  /** What an image of `patchCount` patches adds: the vision tower's scratch and the features; 0 without one. */
  readonly visionBytes: number;
  readonly totalBytes: number;
  /** The largest single buffer: what the device's limit must allow. */
  readonly largestBufferBytes: number;
}

/**
 * Adds up every buffer that loading a model makes, from the Plans that will use them.
 *
 * @param patchCount patches of the largest image; 0 plans for text alone
 */
export function planMemory(
  config: ModelConfig,
  layout: WeightLayout,
  options: CompileOptions,
  patchCount = 0,
): MemoryPlan {
  const loaded = loadedBuffers(config, layout, options);
  const withImage = largestOf(loaded, [
    ...largestBuffers(imagePlans(config, layout, options, patchCount)),
    ...featureBuffers(config, patchCount),
  ]);
  const weightBytes = sum(layout.buffers.values());
  const isCache = (name: string): boolean => /^(keys|values)\.\d+$/.test(name);
  const cacheBytes = sum([...loaded].filter(([name]) => isCache(name)).map(([, bytes]) => bytes));
  const loadedBytes = sum(loaded.values());
  const visionBytes = sum(withImage.values()) - loadedBytes;
  return {
    weightBytes,
    cacheBytes,
    scratchBytes: loadedBytes - cacheBytes,
    visionBytes,
    totalBytes: weightBytes + loadedBytes + visionBytes,
    largestBufferBytes: Math.max(...layout.buffers.values(), ...withImage.values()),
  };
}

/** The buffers that `planMemory` adds up, by name. */
export function planBuffers(
  config: ModelConfig,
  layout: WeightLayout,
  options: CompileOptions,
  patchCount = 0,
): ReadonlyMap<string, ScratchBuffer> {
  const plans = [
    ...textPlans(config, layout, options),
    compilePatchFold(config, layout.vision),
    ...imagePlans(config, layout, options, patchCount),
  ];
  const usages = new Map(
    plans.flatMap(({ scratch }) => [...scratch]).map(([name, { usage }]) => [name, usage]),
  );
  const buffers = [...layout.buffers, ...largestBuffers(plans)].map(([name, byteLength]) => {
    return [name, { byteLength, usage: usages.get(name) ?? 'storage' }] as const;
  });
  const features = [...featureBuffers(config, patchCount)].map(([name, byteLength]) => {
    return [name, { byteLength, usage: 'storage' }] as const;
  });
  return new Map([...buffers, ...slotBuffers(config.text, options), ...features]);
}

/** Scratch that exists from the load on. */
function loadedBuffers(
  config: ModelConfig,
  layout: WeightLayout,
  options: CompileOptions,
): Map<string, number> {
  const vision = largestBuffers([compilePatchFold(config, layout.vision)]);
  const slots = [...slotBuffers(config.text, options)].map(
    ([name, { byteLength }]) => [name, byteLength] as const,
  );
  return largestOf(largestOf(largestBuffers(textPlans(config, layout, options)), vision), slots);
}

/** What an encoded image leaves behind: one row for each merged patch. */
function featureBuffers({ vision }: ModelConfig, patchCount: number): ReadonlyMap<string, number> {
  const byteLength = (patchCount / vision.spatialMergeSize ** 2) * vision.outC * 4;
  return new Map(patchCount === 0 ? [] : [['image features', byteLength]]);
}

/** Plans whose buffers come with the first image. */
function imagePlans(
  config: ModelConfig,
  layout: WeightLayout,
  options: CompileOptions,
  patchCount: number,
): Plan[] {
  if (patchCount === 0) return [];
  return [compileVision(config, layout.vision, options, visionCapacity(patchCount))];
}

/** Plans whose buffers exist from the load on. */
function textPlans(config: ModelConfig, layout: WeightLayout, options: CompileOptions): Plan[] {
  const prefill = compilePrefill(config, layout.text, options);
  return [
    prefill,
    ...(options.target === 'webgpu' ? [compilePromptEnd(config, prefill)] : []),
    ...compileDecodes(config, layout.text, withMostSplits(config, layout.text, options)),
    compileHead(config, layout.text, options, MAX_COLUMNS),
    compileSampler(config.text, options, 1),
  ];
}

/** Bytes of each scratch buffer at the largest size that a Plan asks for. */
function largestBuffers(plans: readonly Plan[]): Map<string, number> {
  const entries = plans.flatMap((plan) =>
    [...plan.scratch].map(([name, { byteLength }]) => [name, byteLength] as const),
  );
  return largestOf(new Map(), entries);
}

function largestOf(
  known: ReadonlyMap<string, number>,
  more: Iterable<readonly [string, number]>,
): Map<string, number> {
  const largest = new Map(known);
  for (const [name, bytes] of more) largest.set(name, Math.max(bytes, largest.get(name) ?? 0));
  return largest;
}

function sum(values: Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
