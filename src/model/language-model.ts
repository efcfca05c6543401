import { toError } from '../base/errors.ts';
import type { Device } from '../gpu/device.ts';
import { openUploads } from '../gpu/uploads.ts';
import { BufferTable } from './buffer-table.ts';
import { chooseCompileOptions, type CompileOptions, type CompileRequest } from './compile-options.ts';
import type { ModelConfig } from './config.ts';
import { KeyValueCache } from './key-value-cache.ts';
import { planBuffers } from './memory-plan.ts';
import { LogprobRanker } from './logprob-ranker.ts';
import { fillWithRandomWeights } from './random-weights.ts';
import { TextModel } from './text-model.ts';
import type { TilingMemory } from './tiling-memory.ts';
import { TokenSampler } from './token-sampler.ts';
import { VisionTower } from './vision-tower.ts';
import { layOutWeights, type StoredTensor, type WeightLayout } from './weight-layout.ts';
import { WeightUpload } from './weight-upload.ts';

/** Takes bytes of a stored tensor; they may be used again when its promise has resolved. */
export type WriteTensor = (name: string, byteOffset: number, bytes: Uint8Array) => void | Promise<void>;

/** Hands every tensor's bytes to `write`, and waits for it. */
export type StreamTensors = (write: WriteTensor) => Promise<void>;

/** What a model is loaded from. */
export interface LoadModelOptions extends CompileRequest {
  readonly config: ModelConfig;
  /** The stored tensors by name. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /**
   * Delivers every tensor's bytes, in any order; resolves when all are delivered and verified. `random` makes
   * weights up on the device, for measuring.
   */
  readonly streamTensors: StreamTensors | 'random';
  /** What earlier loads found out about the products' tilings on this adapter; default: nothing. */
  readonly tilings?: TilingMemory | undefined;
  /** Called when the weights are on the device and compiling begins. */
  readonly onCompile?: () => void;
  readonly signal?: AbortSignal | undefined;
}

/** A model on a device: weights, KV cache, vision tower and text decoder. It owns their memory. */
export class LanguageModel {
  readonly config: ModelConfig;
  readonly layout: WeightLayout;
  readonly options: CompileOptions;
  readonly device: Device;
  readonly vision: VisionTower;
  readonly text: TextModel;
  readonly sampler: TokenSampler;
  readonly ranker: LogprobRanker;
  readonly cache: KeyValueCache;
  readonly buffers: BufferTable;

  constructor(parts: {
    config: ModelConfig;
    layout: WeightLayout;
    options: CompileOptions;
    device: Device;
    vision: VisionTower;
    text: TextModel;
    sampler: TokenSampler;
    ranker: LogprobRanker;
    cache: KeyValueCache;
    buffers: BufferTable;
  }) {
    this.config = parts.config;
    this.layout = parts.layout;
    this.options = parts.options;
    this.device = parts.device;
    this.vision = parts.vision;
    this.text = parts.text;
    this.sampler = parts.sampler;
    this.ranker = parts.ranker;
    this.cache = parts.cache;
    this.buffers = parts.buffers;
  }

  /**
   * Allocates all buffers, streams the weights in and compiles the Plans. On failure everything that was
   * allocated is freed again.
   *
   * @throws AutoglmError any `tensor-*`, `out-of-memory`, `limit-exceeded`, `device-lost`, or what `streamTensors` throws
   */
  static async load(device: Device, request: LoadModelOptions): Promise<LanguageModel> {
    const { config, tensors, signal } = request;
    const layout = layOutWeights(config, tensors, device.capabilities.limits);
    const options = chooseCompileOptions(device.capabilities, request);
    const buffers = new BufferTable(device);
    try {
      // All of them before the first weight is fetched: hours of download would else end in no memory.
      for (const [name, buffer] of planBuffers(config, layout, options)) {
        signal?.throwIfAborted();
        await buffers.ensure(name, buffer);
      }
      await writeWeights(device, buffers, layout, request.streamTensors);
      signal?.throwIfAborted();
      request.onCompile?.();
      const vision = new VisionTower(device, buffers, { config, weights: layout.vision, options });
      const { tilings } = request;
      const text = await TextModel.create(device, buffers, {
        config,
        weights: layout.text,
        options,
        tilings,
      });
      const sampler = new TokenSampler(device, buffers, { V: config.text.V, options });
      const ranker = new LogprobRanker(device, buffers, { V: config.text.V, options });
      const cache = new KeyValueCache(device, buffers, { config: config.text, options });
      await Promise.all([vision.prepare(), sampler.prepare()]);
      const parts = { config, layout, options, device, vision, text, sampler, ranker, cache, buffers };
      return new LanguageModel(parts);
    } catch (error) {
      buffers.destroy();
      throw toError(error);
    }
  }

  /** Frees all memory of the model; the device lives on. */
  destroy(): void {
    this.buffers.destroy();
  }
}

async function writeWeights(
  device: Device,
  buffers: BufferTable,
  layout: WeightLayout,
  streamTensors: StreamTensors | 'random',
): Promise<void> {
  if (streamTensors === 'random') return fillWithRandomWeights(device, buffers, layout);
  const uploads = openUploads(device);
  try {
    const upload = new WeightUpload(uploads, buffers, layout);
    await streamTensors((name, byteOffset, bytes) => upload.write(name, byteOffset, bytes));
    await uploads.finish();
  } finally {
    uploads.destroy();
  }
}
