import type { SerializedError } from '../base/errors.ts';

/**
 * Messages between a page and the worker that hosts its engine.
 *
 * The page numbers its calls; every answer carries the number. `load` must come first and `unload` ends the
 * worker. A call is answered by any count of `progress` or `chunk` messages and then one of `result`, `end` or
 * `error`. `abort` may follow a call at any time; an aborted call ends with `aborted`, or as it would have
 * ended when the abort came too late. Payloads are plain, structured-clonable data: what they hold is typed by
 * the two ends (`src/engine/worker-engine.ts` and `src/worker`), which both use the engine's own types.
 */

/** From the page. */
export type WorkerRequest =
  | { readonly type: 'load'; readonly call: number; readonly options: unknown }
  | { readonly type: 'chat'; readonly call: number; readonly request: unknown }
  | { readonly type: 'complete'; readonly call: number; readonly request: unknown }
  | { readonly type: 'count'; readonly call: number; readonly messages: unknown }
  | { readonly type: 'prefill'; readonly call: number; readonly request: unknown }
  | { readonly type: 'save'; readonly call: number; readonly id: string; readonly messages: unknown }
  | { readonly type: 'restore'; readonly call: number; readonly id: string }
  | { readonly type: 'forget'; readonly call: number; readonly id: string }
  | { readonly type: 'saved'; readonly call: number }
  | { readonly type: 'interrupt'; readonly call: number }
  /** Whether the page is to be told of every answer that ends. */
  | { readonly type: 'watch'; readonly call: number; readonly isOn: boolean }
  | { readonly type: 'abort'; readonly call: number }
  | { readonly type: 'unload'; readonly call: number };

/** To the page. */
export type WorkerResponse =
  | { readonly type: 'progress'; readonly call: number; readonly progress: unknown }
  /** Of an answer that has ended, while the page watches; it belongs to the call that began the watching. */
  | { readonly type: 'metrics'; readonly call: number; readonly metrics: unknown }
  | { readonly type: 'chunk'; readonly call: number; readonly chunk: unknown }
  | { readonly type: 'result'; readonly call: number; readonly value: unknown }
  | { readonly type: 'end'; readonly call: number }
  | { readonly type: 'aborted'; readonly call: number }
  | { readonly type: 'error'; readonly call: number; readonly error: SerializedError };
