/** The engine without the element: the entry `autoglm-web/engine`. A hand-written list; nothing here imports it. */
export { createEngine, planModel } from './create-engine.ts';
export { createOpenAIFetch } from './openai-fetch.ts';
export type { BackendChoice, EngineOptions, ModelLocation, WebLlmOptions } from './engine-options.ts';
export type { FitReport } from './fit-report.ts';
export type { LogitProcessor } from './logit-processor.ts';
export type {
  CallOptions,
  ChatCompletions,
  Engine,
  EngineInfo,
  LoadPhase,
  LoadProgress,
  MetricsListener,
  TextCompletions,
} from './engine.ts';
export type { NextMessage, PrefillRequest, PrefillSummary } from './prefill.ts';
export type { AnswerMetrics } from './answer-metrics.ts';
export type * from './openai.ts';
export type { ContextShift } from './context-shift.ts';
export type * from './session.ts';
export { AutoglmError, isAutoglmError } from '../base/errors.ts';
export type { ErrorCode, FaultDetails, SerializedError } from '../base/errors.ts';
