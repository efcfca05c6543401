/** The worker of web-llm's web-worker example. */
import { WebWorkerMLCEngineHandler } from 'web-llm';

const handler = new WebWorkerMLCEngineHandler();
self.addEventListener('message', (event: MessageEvent) => handler.onmessage(event));
