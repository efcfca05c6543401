/** True in a service worker, where code can be loaded only at the start. */
export function isServiceWorker(): boolean {
  return 'ServiceWorkerGlobalScope' in globalThis;
}
