/**
 * The public entry: the element, the engine and the errors. A hand-written list without logic; files of the
 * package never import it.
 */
export * from './element/index.ts';
export { AutoglmError, isAutoglmError } from './base/errors.ts';
export type { ErrorCode, FaultDetails } from './base/errors.ts';
export { createEngineLazily as createEngine } from './element/engine-source.ts';
export type { EngineOptions, ModelLocation } from './engine/engine-options.ts';
export type {
  CallOptions,
  ChatCompletions,
  Engine,
  EngineInfo,
  LoadPhase,
  LoadProgress,
} from './engine/engine.ts';
export type * from './engine/openai.ts';
export type { NextMessage, PrefillRequest, PrefillSummary } from './engine/prefill.ts';
export type { ContextShift } from './engine/context-shift.ts';
export type * from './engine/session.ts';
export { parseAction, toPixels } from './agent/parse-action.ts';
export type { AgentAction, ScreenPoint } from './agent/parse-action.ts';
