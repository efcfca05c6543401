/** Web-llm itself, under a name of its own: builds make one script of it, which is fetched when it is needed. */
export { MLCEngine, prebuiltAppConfig, WebWorkerMLCEngine } from '@mlc-ai/web-llm';
