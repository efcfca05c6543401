import { join } from 'node:path';
import type { Device } from '../gpu/device.ts';
import { openNodeDevice, type NodeOpenOptions } from '../gpu/webgpu-node.ts';
import { decodeWithSharp } from '../image/decode-node.ts';
import { createHttpSource } from '../storage/http-source.ts';
import { createNodeKeyValueStore } from '../storage/node-key-value-store.ts';
import { createNodeFolderSource } from '../storage/node-folder-source.ts';
import { createNodeShardCache } from '../storage/node-shard-cache.ts';
import { createNodeSha256 } from '../storage/node-sha256.ts';
import { rememberIn } from './adapter-memory.ts';
import type { AllocationMemory } from './allocation-memory.ts';
import type { EngineOptions } from './engine-options.ts';
import type { LoadProgress } from './engine.ts';
import { loadXGrammarInNode } from './grammar/load-xgrammar-node.ts';
import type { FitOptions } from './load-model.ts';
import { LocalEngine } from './local-engine.ts';

/** How to load a model in Node. */
export interface NodeEngineOptions extends FitOptions {
  /** A folder on disk, or an http(s) URL. */
  readonly model: string;
  readonly device?: NodeOpenOptions | undefined;
  /** Opens the device instead of Dawn, such as a CUDA device. */
  readonly openDevice?: (() => Promise<Device>) | undefined;
  /** Remembers what was found out about the adapter's memory; default: nothing is. */
  readonly allocations?: AllocationMemory | undefined;
  readonly speculation?: EngineOptions['speculation'];
  /** Folder in which sessions are saved; default: none that outlive the engine. */
  readonly sessionFolder?: string | undefined;
  /**
   * Folder in which the weights of a model at a URL are kept, and what was found out about the adapter; default: they are
   * fetched, and it is measured, each time.
   */
  readonly cacheFolder?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: LoadProgress) => void) | undefined;
}

/** Opens a GPU, through Dawn unless told otherwise, and loads a model on it. @throws AutoglmError what `LocalEngine.load` throws */
export async function openNodeEngine(options: NodeEngineOptions): Promise<LocalEngine> {
  const {
    model,
    device,
    openDevice = () => openNodeDevice(device),
    sessionFolder,
    cacheFolder,
    ...load
  } = options;
  const isUrl = /^https?:/.test(model);
  return LocalEngine.load({
    source: isUrl ? createHttpSource(model) : createNodeFolderSource(model),
    cache: isUrl && cacheFolder !== undefined ? createNodeShardCache(cacheFolder) : undefined,
    createSha256: createNodeSha256,
    tilings:
      cacheFolder === undefined
        ? undefined
        : rememberIn(createNodeKeyValueStore(join(cacheFolder, 'tilings'))),
    device: await openDevice(),
    decodeImage: decodeWithSharp,
    loadXGrammar: loadXGrammarInNode,
    sessionStore: sessionFolder === undefined ? undefined : createNodeKeyValueStore(sessionFolder),
    ...load,
  });
}
