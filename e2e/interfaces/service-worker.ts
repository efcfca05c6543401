/** The service worker of web-llm's service-worker example: on a first visit it does not control the page. */
import { ServiceWorkerMLCEngineHandler } from 'web-llm';

let handler: ServiceWorkerMLCEngineHandler | undefined;
self.addEventListener('activate', () => {
  handler ??= new ServiceWorkerMLCEngineHandler();
});
