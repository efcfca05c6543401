import type { LoadProgress } from './engine.ts';

/** Where a model folder is: an http(s) URL, a picked folder, or dropped files. */
export type ModelLocation = string | FileSystemDirectoryHandle | readonly File[];

/** Where an engine may run. */
export type BackendChoice = 'auto' | 'webgpu' | 'helper' | 'web-llm' | 'remote';

/** How to create an engine; all but `model` may be left out. */
export interface EngineOptions {
  readonly model: ModelLocation;
  /** `auto` takes WebGPU. */
  readonly backend?: BackendChoice | undefined;
  /** Tokens of prompt and answer together; default: what the model allows, at most 8192. */
  readonly contextWindow?: number | undefined;
  /** Where downloaded weights are kept. Default `indexeddb`. */
  readonly cache?: 'indexeddb' | 'opfs' | 'none' | undefined;
  /** Address of the linked helper. */
  readonly helperUrl?: string | undefined;
  /** Aborts the load. */
  readonly signal?: AbortSignal | undefined;
  /** Called with every step of the load. */
  readonly onProgress?: ((progress: LoadProgress) => void) | undefined;
}

/** The part of the options that can be sent to a worker. */
export type LoadSettings = Omit<EngineOptions, 'signal' | 'onProgress'>;
