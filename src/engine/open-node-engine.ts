import type { Device } from '../gpu/device.ts';
import { openNodeDevice, type NodeOpenOptions } from '../gpu/webgpu-node.ts';
import { decodeWithSharp } from '../image/decode-node.ts';
import type { CacheFormat } from '../kernels/kernel.ts';
import { createHttpSource } from '../storage/http-source.ts';
import { createNodeFolderSource } from '../storage/node-folder-source.ts';
import { createNodeSha256 } from '../storage/node-sha256.ts';
import type { LoadProgress } from './engine.ts';
import { LocalEngine } from './local-engine.ts';

/** How to load a model in Node. */
export interface NodeEngineOptions {
  /** A folder on disk, or an http(s) URL. */
  readonly model: string;
  readonly contextWindow?: number | undefined;
  /** Number format of the KV cache; default f16, or f32 for a model in f32. */
  readonly cacheFormat?: CacheFormat | undefined;
  /** Sequences that the KV cache holds side by side; 1. */
  readonly slots?: number | undefined;
  readonly device?: NodeOpenOptions | undefined;
  /** Opens the device instead of Dawn, such as a CUDA device. */
  readonly openDevice?: (() => Promise<Device>) | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: LoadProgress) => void) | undefined;
}

/** Opens a GPU, through Dawn unless told otherwise, and loads a model on it. @throws AutoglmError what `LocalEngine.load` throws */
export async function openNodeEngine(options: NodeEngineOptions): Promise<LocalEngine> {
  const { model, contextWindow, cacheFormat, slots, signal, onProgress } = options;
  const openDevice = options.openDevice ?? (() => openNodeDevice(options.device));
  const isUrl = /^https?:/.test(model);
  return LocalEngine.load({
    source: isUrl ? createHttpSource(model) : createNodeFolderSource(model),
    createSha256: createNodeSha256,
    device: await openDevice(),
    decodeImage: decodeWithSharp,
    contextWindow,
    cacheFormat,
    slots,
    signal,
    onProgress,
  });
}
