import { AutoglmError } from '../base/errors.ts';
import type { Capabilities } from '../gpu/capabilities.ts';
import type { CacheFormat, WeightFormat } from '../kernels/kernel.ts';
import { chooseCompileOptions, type CompileOptions, type CompileRequest } from './compile-options.ts';
import type { ModelConfig } from './config.ts';
import { planBuffers, planMemory, type MemoryPlan } from './memory-plan.ts';
import type { ScratchBuffer } from './plan.ts';
import { narrowVision, type NarrowedVision } from './narrow-vision.ts';
import { layOutWeights, type StoredTensor, type WeightLayout } from './weight-layout.ts';

/** What is wished for and what may be given up so that a model fits. */
export interface FitRequest extends CompileRequest {
  /** Number format of the KV cache; left out, f16 (f32 for a model in f32), and q8 where nothing else fits. */
  readonly cacheFormat?: CacheFormat;
  /** The context is not cut below; default 4096, or the whole context where that is less. */
  readonly smallestContext?: number | undefined;
  /**
   * `auto` packs a vision tower to 4 bits where nothing else fits, `stored` never does, `q4` always.
   * Default `auto`.
   */
  readonly visionFormat?: 'auto' | 'stored' | 'q4' | undefined;
  /** Bytes that the model may take on the device; default: no bound but the device's limits. */
  readonly budgetBytes?: number | undefined;
  /** Patches of the largest image; 0 for text alone. */
  readonly patchCount: number;
}

/** One thing that was given up, and what that saves. */
export type FitStep =
  | { readonly kind: 'context'; readonly from: number; readonly to: number; readonly savedBytes: number }
  | { readonly kind: 'vision'; readonly from: WeightFormat; readonly to: 'q4'; readonly savedBytes: number }
  | { readonly kind: 'cache'; readonly from: CacheFormat; readonly to: 'q8'; readonly savedBytes: number };

/** The settings under which a model fits; plain data. */
export interface FitSettings {
  readonly context: number;
  readonly cacheFormat: CacheFormat;
  readonly visionFormat: WeightFormat;
  readonly memory: MemoryPlan;
  /** In the order in which things were given up; empty when everything is as wished. */
  readonly steps: readonly FitStep[];
}

/** A model planned to fit: its settings and what loading it needs. */
export interface ModelFit extends FitSettings {
  readonly options: CompileOptions;
  readonly layout: WeightLayout;
  readonly vision: NarrowedVision;
  /** Every buffer that loading and the largest image need, by name. */
  readonly buffers: ReadonlyMap<string, ScratchBuffer>;
}

/** What a model is, before anything of it is loaded. */
export interface ModelShape {
  readonly config: ModelConfig;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly capabilities: Capabilities;
}

/** Least context that is worth loading a model with: some screenshots and an answer. */
export const SMALLEST_CONTEXT = 4096;

/** Contexts are cut to whole multiples. */
const CONTEXT_UNIT = 256;

/**
 * Plans a model within the device's limits and a budget. What does not fit as wished gets, in this order, a
 * smaller context, a vision tower of 4 bits with as much context as then fits, and a KV cache of 8 bits.
 * A KV cache of 4 bits is no step: see the README for what it would cost and save.
 *
 * @throws AutoglmError `model-too-large` with the bytes that the smallest form needs; any `tensor-*` of the layout
 */
export function fitModel(shape: ModelShape, request: FitRequest): ModelFit {
  const planner = new FitPlanner(shape, request);
  for (const stage of planner.stages) {
    const context = planner.largestContext(stage);
    if (context !== undefined) return planner.fit(stage, context);
  }
  throw planner.tooLarge();
}

/** The vision tower as stored or at 4 bits, and a format of the KV cache. */
interface Stage {
  readonly isNarrow: boolean;
  readonly cacheFormat: CacheFormat;
}

class FitPlanner {
  readonly stages: readonly Stage[];
  readonly #shape: ModelShape;
  readonly #request: FitRequest;
  readonly #smallest: number;
  readonly #visions = new Map<boolean, { vision: NarrowedVision; layout: WeightLayout }>();
  readonly #plans = new Map<string, MemoryPlan>();

  constructor(shape: ModelShape, request: FitRequest) {
    this.#shape = shape;
    this.#request = request;
    this.#smallest = Math.min(request.context, request.smallestContext ?? SMALLEST_CONTEXT);
    this.stages = this.#listStages();
  }

  /** The largest context up to the wished one that fits; undefined where not even the smallest does. */
  largestContext(stage: Stage): number | undefined {
    const { context } = this.#request;
    if (this.#fits(stage, context)) return context;
    if (this.#smallest === context || !this.#fits(stage, this.#smallest)) return undefined;
    let [low, high] = [this.#smallest, context];
    while (high - low > CONTEXT_UNIT) {
      const middle = Math.floor((low + high) / 2 / CONTEXT_UNIT) * CONTEXT_UNIT;
      if (middle <= low) break;
      if (this.#fits(stage, middle)) low = middle;
      else high = middle;
    }
    return low;
  }

  fit(stage: Stage, context: number): ModelFit {
    const { config } = this.#shape;
    const { vision, layout } = this.#vision(stage);
    const options = this.#options(stage, context);
    return {
      context,
      cacheFormat: options.cacheFormat,
      visionFormat: formatOf(layout),
      memory: this.#plan(stage, context),
      steps: this.#steps(stage, context),
      options,
      layout,
      vision,
      buffers: planBuffers(config, layout, options, this.#request.patchCount),
    };
  }

  tooLarge(): AutoglmError {
    const last = this.stages.at(-1) as Stage;
    const { totalBytes, largestBufferBytes } = this.#plan(last, this.#smallest);
    const { budgetBytes = Infinity } = this.#request;
    const { maxBufferBytes } = this.#shape.capabilities.limits;
    const isBuffer = totalBytes <= budgetBytes;
    const value = isBuffer ? largestBufferBytes : totalBytes;
    const limit = isBuffer ? maxBufferBytes : budgetBytes;
    const tried = this.#steps(last, this.#smallest).map(describeFitStep);
    return new AutoglmError(
      'model-too-large',
      `The model needs ${value} bytes ${isBuffer ? 'in one buffer' : 'of GPU memory'} and ${limit} are there` +
        `${tried.length > 0 ? `, with ${tried.join(', ')}` : ''}.`,
      {
        value,
        limit,
        cure: 'Close programs that use the GPU, use a smaller model, or link the local helper (backend "helper").',
      },
    );
  }

  #listStages(): Stage[] {
    const { cacheFormat, visionFormat = 'auto' } = this.#request;
    const whole = cacheFormat ?? 'f16';
    const canNarrow = narrowVision(this.#shape.config, this.#shape.tensors).narrowed.size > 0;
    const wants = visionFormat === 'q4' && canNarrow;
    const stages: Stage[] = [{ isNarrow: wants, cacheFormat: whole }];
    const mayNarrow = wants || (visionFormat === 'auto' && canNarrow);
    if (mayNarrow && !wants) stages.push({ isNarrow: true, cacheFormat: whole });
    const last: Stage = { isNarrow: mayNarrow, cacheFormat: 'q8' };
    // Not every device has kernels for it.
    const hasQ8 = this.#options(last, this.#smallest).cacheFormat === 'q8';
    if (cacheFormat === undefined && hasQ8) stages.push(last);
    return stages;
  }

  /** Every change from the wished form to the given one, each with what it saves on top of those before. */
  #steps(stage: Stage, context: number): FitStep[] {
    const first = this.stages[0] as Stage;
    const wished = this.#request.context;
    const steps: FitStep[] = [];
    let bytes = this.#plan(first, wished).totalBytes;
    const saved = (plan: MemoryPlan): number => {
      const savedBytes = bytes - plan.totalBytes;
      bytes = plan.totalBytes;
      return savedBytes;
    };
    if (context < wished) {
      steps.push({
        kind: 'context',
        from: wished,
        to: context,
        savedBytes: saved(this.#plan(first, context)),
      });
    }
    const narrow = { ...first, isNarrow: stage.isNarrow };
    if (stage.isNarrow && !first.isNarrow) {
      const from = formatOf(this.#vision(first).layout);
      steps.push({ kind: 'vision', from, to: 'q4', savedBytes: saved(this.#plan(narrow, context)) });
    }
    if (stage.cacheFormat === 'q8' && first.cacheFormat !== 'q8') {
      const from = first.cacheFormat;
      steps.push({ kind: 'cache', from, to: 'q8', savedBytes: saved(this.#plan(stage, context)) });
    }
    return steps;
  }

  #fits(stage: Stage, context: number): boolean {
    const { budgetBytes = Infinity } = this.#request;
    const { totalBytes, largestBufferBytes } = this.#plan(stage, context);
    return totalBytes <= budgetBytes && largestBufferBytes <= this.#shape.capabilities.limits.maxBufferBytes;
  }

  #plan(stage: Stage, context: number): MemoryPlan {
    const key = `${stage.isNarrow} ${stage.cacheFormat} ${context}`;
    const known = this.#plans.get(key);
    if (known) return known;
    const { layout } = this.#vision(stage);
    const options = this.#options(stage, context);
    const plan = planMemory(this.#shape.config, layout, options, this.#request.patchCount);
    this.#plans.set(key, plan);
    return plan;
  }

  #vision({ isNarrow }: Stage): { vision: NarrowedVision; layout: WeightLayout } {
    const known = this.#visions.get(isNarrow);
    if (known) return known;
    const { config, tensors, capabilities } = this.#shape;
    const vision = isNarrow ? narrowVision(config, tensors) : { tensors, narrowed: new Map() };
    const made = { vision, layout: layOutWeights(config, vision.tensors, capabilities.limits) };
    this.#visions.set(isNarrow, made);
    return made;
  }

  #options({ cacheFormat }: Stage, context: number): CompileOptions {
    return chooseCompileOptions(this.#shape.capabilities, { ...this.#request, context, cacheFormat });
  }
}

/** Format of the tower's blocks; all of a model have the same. */
function formatOf({ vision }: WeightLayout): WeightFormat {
  return vision.blocks[0]?.qkv.format ?? vision.mergerProj.format;
}

/** A step in words, such as `context 8192 to 4096 (saves 168 MB)`. */
export function describeFitStep({ kind, from, to, savedBytes }: FitStep): string {
  const names = { context: 'context', vision: 'vision tower', cache: 'KV cache' };
  return `${names[kind]} ${from} to ${to} (saves ${Math.round(savedBytes / 1e6)} MB)`;
}
