import type { LoadProgress } from './engine.ts';

/** Where a model folder is: an http(s) URL, a picked folder, or dropped files. */
export type ModelLocation = string | FileSystemDirectoryHandle | readonly File[];

/** Where an engine may run. */
export type BackendChoice = 'auto' | 'webgpu' | 'helper' | 'web-llm' | 'remote';

/** How to create an engine; all but `model` may be left out. */
export interface EngineOptions {
  readonly model: ModelLocation;
  /**
   * `auto` takes WebGPU, and the linked helper where this tab cannot hold the model and the GPU is a discrete NVIDIA
   * one. `helper` takes the helper on any GPU, `remote` the OpenAI-compatible server at `helperUrl`.
   */
  readonly backend?: BackendChoice | undefined;
  /** Tokens of prompt and answer together; default: what the model allows, at most 8192. */
  readonly contextWindow?: number | undefined;
  /** Where downloaded weights are kept. Default `indexeddb`. */
  readonly cache?: 'indexeddb' | 'opfs' | 'none' | undefined;
  /** Address of the linked helper, `http://127.0.0.1:11435` unless told otherwise, or of the `remote` server. */
  readonly helperUrl?: string | undefined;
  /** Token of the helper; default: what linking left in the page's storage. */
  readonly helperToken?: string | undefined;
  /** API key of the `remote` server. `model` is the name that it serves the model by. */
  readonly apiKey?: string | undefined;
  /** Called before the request that makes the browser ask its user; the request waits for it. */
  readonly onLocalPrompt?: (() => Promise<void>) | undefined;
  /** Aborts the load. */
  readonly signal?: AbortSignal | undefined;
  /** Called with every step of the load. */
  readonly onProgress?: ((progress: LoadProgress) => void) | undefined;
}

/** Options that only choose and reach a backend; none of a worker's business. */
type BackendOption = 'helperUrl' | 'helperToken' | 'apiKey' | 'onLocalPrompt';

/** The part of the options that can be sent to a worker. */
export type LoadSettings = Omit<EngineOptions, 'signal' | 'onProgress' | BackendOption>;
