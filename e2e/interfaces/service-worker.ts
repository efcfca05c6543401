/** The service worker of web-llm's service-worker example: it takes the page over at once. */
import { ServiceWorkerMLCEngineHandler } from 'web-llm';

/** What of a service worker's scope the page's types lack. */
interface ServiceWorkerScope {
  addEventListener(
    type: string,
    listener: (event: { waitUntil(promise: Promise<unknown>): void }) => void,
  ): void;
  skipWaiting(): Promise<void>;
  readonly clients: { claim(): Promise<void> };
}

const scope = self as unknown as ServiceWorkerScope;
let handler: ServiceWorkerMLCEngineHandler | undefined;
scope.addEventListener('install', (event) => event.waitUntil(scope.skipWaiting()));
scope.addEventListener('activate', (event) => {
  handler ??= new ServiceWorkerMLCEngineHandler();
  event.waitUntil(scope.clients.claim());
});
