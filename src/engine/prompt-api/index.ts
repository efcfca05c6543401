/** The Prompt API over an engine: the entry `autoglm-web/prompt-api`. A hand-written list; nothing here imports it. */
export { createLanguageModelClass, installLanguageModel } from './language-model.ts';
export type { LanguageModelClass, LanguageModelParams, LanguageModelSource } from './language-model.ts';
export type { LanguageModelSession } from './language-model-session.ts';
export type * from './prompt-types.ts';
