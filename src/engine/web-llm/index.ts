/** Web-llm's interface over this package's engine: the entry `autoglm-web/web-llm`. A hand-written list. */
export { CreateMLCEngine, MLCEngine } from './mlc-engine.ts';
export type { OpenAutoglmEngine } from './mlc-engine.ts';
export { CreateWebWorkerMLCEngine, WebWorkerMLCEngine } from './worker-client.ts';
export type { ChatWorker } from './worker-client.ts';
export { WebWorkerMLCEngineHandler } from './worker-handler.ts';
export type { MlcWorkerRequest, MlcWorkerResponse } from './worker-handler.ts';
export {
  CreateServiceWorkerMLCEngine,
  ServiceWorkerMLCEngine,
  ServiceWorkerMLCEngineHandler,
} from './service-worker.ts';
export {
  createAutoglmRecord,
  functionCallingModelIds,
  ModelType,
  modelLibURLPrefix,
  modelVersion,
  prebuiltAppConfig,
} from './app-config.ts';
export {
  deleteChatConfigInCache,
  deleteModelAllInfoInCache,
  deleteModelInCache,
  deleteModelWasmInCache,
  hasModelInCache,
} from './model-cache.ts';
export { IntegrityError, isValidSRI, verifyIntegrity } from './integrity.ts';
export type * from '@mlc-ai/web-llm';
