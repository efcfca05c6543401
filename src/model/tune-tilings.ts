import { isAutoglmError } from '../base/errors.ts';
import type { Device } from '../gpu/device.ts';
import type { WeightMatrix } from '../kernels/kernel.ts';
import { matvecInt8 } from '../kernels/matvec-int8.ts';
import type { RowTiling } from '../kernels/row-tiling.ts';
import type { BufferTable } from './buffer-table.ts';
import { addActivations, addGateUp, productOptions, usesInt8 } from './compile-decode-int8.ts';
import type { CompileOptions, Int8Tilings } from './compile-options.ts';
import { PlanBuilder, type Plan } from './plan.ts';
import { PlanRunner } from './plan-runner.ts';
import { TEXT_BUFFERS } from './text-buffers.ts';
import { TILED_PRODUCTS, tilingCandidates, type TiledProduct } from './tiling-candidates.ts';
import { parseTilings, tilingKey, type TilingMemory } from './tiling-memory.ts';
import type { DecodeParts } from './whole-layers.ts';

/** What another tiling must save of the time of the present one: two measurements of one differ by as much. */
const LEAST_GAIN = 0.03;

/** Work of one measurement: long beside a submission, and beside what browsers round their clock to. */
const MEASURED_MS = 5;
const MOST_REPEATS = 64;
const MEASUREMENTS = 3;

/** A load is not held up for longer; products that were not reached keep their tiling. */
const MOST_MS = 3000;

/** Layers whose weights a measurement reads, so that they come from memory and not from a cache. */
const MOST_LAYERS = 8;

/**
 * Options with the tilings that are fastest on the device: those that an earlier load left in the memory, or found out
 * now. Where whole layers run in a dispatch, only a step's ends would gain, so nothing is measured there.
 *
 * @throws AutoglmError `out-of-memory`, `device-lost`
 */
export async function withTunedTilings(
  device: Device,
  buffers: BufferTable,
  parts: DecodeParts,
  memory?: TilingMemory,
): Promise<CompileOptions> {
  const { config, weights, options } = parts;
  const mayTune = options.tunesTilings && !options.layerTiling && usesInt8(config.text, weights, options);
  if (!mayTune) return options;
  const key = tilingKey(device.capabilities, config.text, options);
  const known = parseTilings(await memory?.get(key), options, device.capabilities);
  if (known) return { ...options, int8Tilings: known };
  const int8Tilings = await tuneTilings(device, buffers, parts);
  await memory?.put(key, int8Tilings);
  return { ...options, int8Tilings };
}

/** Measures the candidates of each product on the model's own weights, a step of one sequence. */
async function tuneTilings(device: Device, buffers: BufferTable, parts: DecodeParts): Promise<Int8Tilings> {
  const until = performance.now() + MOST_MS;
  const isOver = (): boolean => performance.now() >= until;
  const tilings: Partial<Record<TiledProduct, RowTiling>> = {};
  for (const product of TILED_PRODUCTS) {
    if (isOver()) break;
    const candidates = tilingCandidates(product, parts.options, device.capabilities);
    const plans = candidates.map((tiling) => compileProduct(product, tiling, parts));
    await buffers.ensureScratch(plans);
    const runners = await Promise.all(plans.map((plan) => createRunner(device, plan, buffers)));
    const measureOne = (_: RowTiling, index: number): Promise<number> => measure(device, runners[index]);
    tilings[product] = await findFastest(candidates, measureOne, isOver);
  }
  return { ...parts.options.int8Tilings, ...tilings };
}

/**
 * The candidate that takes the least time, or the first one where none saves enough; those that are left when time is over
 * are not measured.
 *
 * @param measureOne resolves with a time in milliseconds
 */
export async function findFastest<T>(
  candidates: readonly T[],
  measureOne: (candidate: T, index: number) => Promise<number>,
  isOver: () => boolean = () => false,
): Promise<T> {
  let best = candidates[0];
  let bound = Infinity;
  for (const [index, candidate] of candidates.entries()) {
    if (isOver()) break;
    const milliseconds = await measureOne(candidate, index);
    if (milliseconds >= bound) continue;
    best = candidate;
    // The present one gives way to a clearly faster one alone, and that one to any that is faster still.
    bound = index === 0 ? milliseconds * (1 - LEAST_GAIN) : milliseconds;
  }
  return best;
}

/** `undefined` where the device does not take the programs: a driver's fault with one tiling is none of the others'. */
async function createRunner(
  device: Device,
  plan: Plan,
  buffers: BufferTable,
): Promise<PlanRunner | undefined> {
  try {
    return await PlanRunner.create(device, plan, buffers);
  } catch (error) {
    if (isAutoglmError(error, 'shader-invalid') || isAutoglmError(error, 'gpu-validation')) return undefined;
    throw error;
  }
}

/** Milliseconds of the Plan, the least of a few measurements. */
async function measure(device: Device, runner: PlanRunner | undefined): Promise<number> {
  if (!runner) return Infinity;
  const first = await runFor(device, runner, 1);
  const repeats = Math.min(MOST_REPEATS, Math.max(1, Math.ceil(MEASURED_MS / Math.max(first, 0.01))));
  let least = Infinity;
  for (let i = 0; i < MEASUREMENTS; i++) {
    least = Math.min(least, (await runFor(device, runner, repeats)) / repeats);
  }
  return least;
}

/** Runs the Plan so many times, and resolves with the milliseconds of all. */
async function runFor(device: Device, runner: PlanRunner, repeats: number): Promise<number> {
  const recorder = device.createRecorder(runner.plan.name);
  for (let i = 0; i < repeats; i++) runner.record(recorder, {});
  await device.idle();
  const startedAt = performance.now();
  recorder.submit();
  await device.idle();
  return performance.now() - startedAt;
}

/** The product of the first layers, with their own weights, in buffers that a decode step has as well. */
function compileProduct(
  product: TiledProduct,
  tiling: RowTiling,
  { config: { text: config }, weights, options }: DecodeParts,
): Plan {
  const { C, H, KV, D, F, V } = config;
  const builder = new PlanBuilder(`tune ${product}`);
  const int8Tilings = { ...options.int8Tilings, [product]: tiling };
  const compiler = { builder, config, options: { ...options, int8Tilings }, columns: 1 };
  const y = builder.buffer(TEXT_BUFFERS.logits, Math.max(V, 2 * F, (H + 2 * KV) * D, C));
  const multiply = (weight: WeightMatrix, input: string): void => {
    const x = addActivations(compiler, input, weight.K);
    builder.add(...matvecInt8({ ...productOptions(compiler, product, product, weight), x, y }));
  };
  const layers = weights.layers.slice(0, MOST_LAYERS);
  switch (product) {
    case 'qkv':
      for (const { qkv } of layers) multiply(qkv, 'normed');
      break;
    case 'o':
      for (const { o } of layers) multiply(o, 'attended');
      break;
    case 'gateUp': {
      const x = addActivations(compiler, 'normed', C);
      const activated = addActivations(compiler, 'activated', F);
      for (const { gateUp: weight } of layers) {
        builder.add(...addGateUp(compiler, product, { weight, x, y: activated }));
      }
      break;
    }
    case 'down':
      for (const { down } of layers) multiply(down, 'activated');
      break;
    case 'head':
      multiply(weights.head, 'normed');
  }
  return builder.build();
}
