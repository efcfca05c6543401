import type { AppConfig, ChatOptions } from '@mlc-ai/web-llm';
import type { CacheFormat } from '../kernels/kernel.ts';
import type { LoadProgress } from './engine.ts';

/** Where a model folder is: an http(s) URL, a picked folder, or dropped files. */
export type ModelLocation = string | FileSystemDirectoryHandle | readonly File[];

/** Where an engine may run. */
export type BackendChoice = 'auto' | 'webgpu' | 'helper' | 'web-llm' | 'remote';

/** How web-llm runs a model. */
export interface WebLlmOptions {
  /** Its list of models and its cache; default: web-llm's own. */
  readonly appConfig?: AppConfig | undefined;
  /** Overrides of the model's configuration. */
  readonly chatOptions?: ChatOptions | undefined;
  /**
   * Starts a worker that hosts web-llm's `WebWorkerMLCEngineHandler`, so that the page does not compute; it is ended
   * with the engine. Default: web-llm runs in the page.
   */
  readonly createWorker?: (() => Worker) | undefined;
}

/** How to create an engine; all but `model` may be left out. */
export interface EngineOptions {
  readonly model: ModelLocation;
  /**
   * `auto` takes WebGPU, and the linked helper where this tab cannot hold the model and the GPU is a discrete NVIDIA
   * one. `helper` takes the helper on any GPU, `remote` the OpenAI-compatible server at `helperUrl`, and `web-llm`
   * web-llm itself: `model` is then the id of one of its models.
   */
  readonly backend?: BackendChoice | undefined;
  /**
   * Tokens of prompt and answer together; default: what the model allows, at most 8192. Where the GPU has no room
   * for so many, fewer: see `smallestContextWindow`.
   */
  readonly contextWindow?: number | undefined;
  /**
   * The context window is not cut below this to make the model fit; default 4096. Where it is given, a `contextWindow`
   * beyond what the model was trained for is cut to that instead of refused.
   */
  readonly smallestContextWindow?: number | undefined;
  /**
   * Number format of the KV cache. Left out: f16 (f32 for a model in f32), and q8, half the bytes, where the model
   * would not fit otherwise.
   */
  readonly cacheFormat?: CacheFormat | undefined;
  /**
   * Format of the vision tower on the GPU: as it is `stored`, `q4` (packed to 4 bits while it loads), or `auto`:
   * packed only where the model would not fit otherwise. Default `auto`.
   */
  readonly visionFormat?: 'auto' | 'stored' | 'q4' | undefined;
  /**
   * Conversations that the KV cache holds side by side, and answers that are given together, up to 8; further requests
   * wait. Each takes a context's worth of memory. Default: 1 to 4, as many as take at most 512 MiB.
   */
  readonly slots?: number | undefined;
  /**
   * Whether a lone answer guesses its next tokens from prompt and answer, and checks several at once: the tokens are
   * the same. `auto` does where it measures faster, and is the default on a GPU; a software adapter gains nothing.
   */
  readonly speculation?: 'auto' | 'on' | 'off' | undefined;
  /** Bytes that the model may take on the GPU; default: as much as there is. */
  readonly memoryBudget?: number | undefined;
  /**
   * Whether the network is asked if a model that is kept has changed. Left out: for its manifest alone, where there is
   * a network; what differs is fetched then. True asks for all but the weights, false for nothing.
   */
  readonly refresh?: boolean | undefined;
  /** Address of the script that structured output needs, fetched with the first such request; default: the package's. */
  readonly grammarLibraryUrl?: string | undefined;
  /** Where downloaded weights are kept. Default `indexeddb`. */
  readonly cache?: 'indexeddb' | 'opfs' | 'none' | undefined;
  /** Address of the linked helper, `http://127.0.0.1:11435` unless told otherwise, or of the `remote` server. */
  readonly helperUrl?: string | undefined;
  /** Token of the helper; default: what linking left in the page's storage. */
  readonly helperToken?: string | undefined;
  /** API key of the `remote` server. `model` is the name that it serves the model by. */
  readonly apiKey?: string | undefined;
  /** With `backend: 'web-llm'`: its list of models and how it runs them. */
  readonly webLlm?: WebLlmOptions | undefined;
  /** Called before the request that makes the browser ask its user; the request waits for it. */
  readonly onLocalPrompt?: (() => Promise<void>) | undefined;
  /**
   * `shared`: one engine for all pages of the origin that load the same model with the same settings, where the
   * browser has WebGPU in shared workers; it lives until the last page has left. `dedicated`: one of the page's own.
   * Default `shared`.
   */
  readonly worker?: 'shared' | 'dedicated' | undefined;
  /** Aborts the load. */
  readonly signal?: AbortSignal | undefined;
  /** Called with every step of the load. */
  readonly onProgress?: ((progress: LoadProgress) => void) | undefined;
}

/** Options that only choose and reach a backend; none of a worker's business. */
type BackendOption = 'helperUrl' | 'helperToken' | 'apiKey' | 'onLocalPrompt' | 'webLlm';

/** The part of the options that can be sent to a worker. */
export type LoadSettings = Omit<EngineOptions, 'signal' | 'onProgress' | BackendOption>;
