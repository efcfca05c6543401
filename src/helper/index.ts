/** The helper for programs on Node: the entry `autoglm-web/helper`. A hand-written list; nothing here imports it. */
export { findRunningHelper, serve } from './serve.ts';
export type { RunningHelper, ServeEvent, ServeOptions } from './serve.ts';
export { openHelperEngine } from './open-engine.ts';
export type { HelperEngine, HelperEngineOptions } from './open-engine.ts';
