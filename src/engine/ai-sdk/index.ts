/** An engine as a model of the AI SDK: the entry `autoglm-web/ai-sdk`. A hand-written list; nothing here imports it. */
export { createAutoglmModel } from './language-model.ts';
export type { AutoglmProviderOptions } from './language-model.ts';
